//go:build chaos

package cluster

import (
	"fmt"
	"os"
	"strings"
)

// guardsOff are the guards that a binary built for chaos runs without, as DCANN_CHAOS_GUARDS_OFF names them.
func guardsOff() guards {
	var g guards
	for name := range strings.SplitSeq(os.Getenv("DCANN_CHAOS_GUARDS_OFF"), ",") {
		switch strings.TrimSpace(name) {
		case "":
		case "confirm":
			g.noConfirm = true
		case "buffered":
			g.bufferedConfirm = true
		case "early":
			g.earlyConfirm = true
		case "pause":
			g.noPause = true
		case "flush":
			g.noFlush, g.noClamp = true, true
		case "fsync":
			g.noSync = true
		case "recheck":
			g.noRecheck = true
		case "admission":
			g.noAdmission = true
		default:
			panic(fmt.Sprintf("DCANN_CHAOS_GUARDS_OFF: there is no guard %q", name))
		}
	}
	return g
}
