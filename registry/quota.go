package registry

import (
	"fmt"
	"slices"
	"time"
)

// Counted is an accepted operation as quotas see it.
type Counted struct {
	Time Millis
	Act  Act
}

// count enforces the quotas of DESIGN 6, rule 7, and adds op to what they count. Exempt are a recover,
// which takes a counted operation off, and an erase, which is the last there can be.
func (l *Lineage) count(op *Operation, env Env) error {
	const hour, day = time.Hour, 24 * time.Hour
	l.Recent = slices.DeleteFunc(l.Recent, func(c Counted) bool { return c.Time.Add(day) <= env.Now })
	if op.Act == Recover || op.Act == Erase {
		return nil
	}
	any := func(Counted) bool { return true }
	wait, why := l.wait(env.Now, hour, env.Policy.PerHour, any), fmt.Sprintf("%d operations an hour", env.Policy.PerHour)
	if w := l.wait(env.Now, day, env.Policy.PerDay, any); w > wait {
		wait, why = w, fmt.Sprintf("%d operations a day", env.Policy.PerDay)
	}
	if op.Act == Deactivate {
		deactivations := func(c Counted) bool { return c.Act == Deactivate }
		if w := l.wait(env.Now, day, env.Policy.Deactivations, deactivations); w > wait {
			wait, why = w, fmt.Sprintf("%d deactivations a day", env.Policy.Deactivations)
		}
	}
	if wait > 0 {
		return &Error{Kind: Quota, RetryAfter: wait, Detail: fmt.Sprintf("%s has used up its %s: try again in %v", l.ID, why, wait)}
	}
	l.Recent = append(l.Recent, Counted{Time: env.Now, Act: op.Act})
	return nil
}

// wait is how long it takes until fewer than limit of the recent operations that count are younger than
// period; 0 when it is so now.
func (l *Lineage) wait(now Millis, period time.Duration, limit int, counts func(Counted) bool) time.Duration {
	seen := 0
	for _, c := range slices.Backward(l.Recent) {
		if !counts(c) {
			continue
		}
		if seen++; seen == limit {
			return max(0, time.Duration(c.Time.Add(period)-now)*time.Millisecond)
		}
	}
	return 0
}
