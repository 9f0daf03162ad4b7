package nemesis

import (
	"context"

	"github.com/dcann/dcann/scripts/chaos/fleet"
)

// The kinds of fault.
const (
	KillLeader   Kind = "kill leader"     // SIGKILL
	KillFollower Kind = "kill follower"   // SIGKILL
	StopLeader   Kind = "freeze leader"   // SIGSTOP for longer than an election, and SIGCONT
	StopFollower Kind = "freeze follower" // the same, of another voter or the replica
	PowerCut     Kind = "power cut"       // SIGKILL, and the disk forgets what was not synced
	RestartAll   Kind = "restart all"     // all at once, by SIGKILL or, with disks, every other time by a power cut
	Partition    Kind = "partition"       // a voter, mostly the leader, and all others do not hear each other
	OneWay       Kind = "one-way loss"    // what some send to some others is lost, and the rest is not
	FullDisk     Kind = "full disk"       // nearly, or to the last block
	SlowDisk     Kind = "slow disk"       // every write waits, again and again; seldom so long that a watchdog must act
	DiskLost     Kind = "disk lost"       // a voter loses all it had, and is started as if nothing had happened
	Members      Kind = "membership"      // a voter or the replica is removed, loses all it had, and joins again
	Transfer     Kind = "transfer"        // another voter is told to lead
)

// lanes run beside each other. The pauses are such that all kinds come about equally often.
var lanes = []struct {
	name        string
	least, most int // pause between two faults, in milliseconds
	faults      []fault
}{
	{"processes", 0, 100, []fault{
		{KillLeader, nil, killLeader},
		{KillFollower, nil, killFollower},
		{StopLeader, nil, stopLeader},
		{StopFollower, nil, stopFollower},
		{PowerCut, (*fleet.Fleet).HasDisks, powerCut},
		{RestartAll, nil, restartAll},
	}},
	{"wires", 1000, 3000, []fault{
		{Partition, (*fleet.Fleet).HasWires, partition},
		{OneWay, (*fleet.Fleet).HasWires, oneWay},
	}},
	{"disks", 2500, 5000, []fault{
		{FullDisk, (*fleet.Fleet).HasDisks, fullDisk},
		{SlowDisk, (*fleet.Fleet).HasDisks, slowDisk},
	}},
	{"members", 4000, 8000, []fault{
		{Members, nil, members},
	}},
	{"losses", 5000, 9000, []fault{
		{DiskLost, nil, diskLost},
	}},
	{"office", 3000, 8000, []fault{
		{Transfer, nil, transfer},
	}},
}

// always is for repairs: they are made though the run is over.
func always(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }
