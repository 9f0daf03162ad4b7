package cluster

// guards can each be taken out, by tests only, to show that what they guard against is real: the zero value
// has all of them. What each does is told where it stands; DESIGN.md beside this file lists them.
type guards struct {
	noConfirm       bool // linearizable reads without a confirmation of leadership
	bufferedConfirm bool // ... with Raft's own, which counts answers to questions asked before
	earlyConfirm    bool // ... with an answer to a question asked before
	noPause         bool // a leader that was stopped answers bounded reads when it resumes
	noStall         bool // a hanging log write does not end the node
	noTransferWatch bool // a leadership transfer that hangs does not end the node
	noCaughtUp      bool // who joins votes at once
	noClock         bool // a leader proposes whatever its clock says
	noRecheck       bool // a refusal, of a change of the members too, is given without a confirmation that this node leads
	noLetGo         bool // a leader that the others cannot call waits for them for ever
	noFlush         bool // a snapshot does not make the state durable
	noClamp         bool // the log is cut wherever Raft asks
	noTail          bool // what a leader says is committed is so to the end of one's own log
	noTurn          bool // a heartbeat of a newer term is seen to in the midst of anything
	noRecovered     bool // a recovered node follows those that it went on without
	noRestart       bool // Raft goes on after it deleted what is overruled and could not write what takes its place
	noHistory       bool // a leader of another history overrules what is applied
	noAdmission     bool // a node without data votes at once
	atOnce          bool // a node without data founds a cluster as soon as its settings allow that
	noSettle        bool // the log stays as it is when the state was replaced by another node's
	noSync          bool // the Raft log is not synced to the disk
}
