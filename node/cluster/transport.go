package cluster

import "github.com/hashicorp/raft"

// transport is how a node reaches the others. Raft sees trans; what Raft's interface
// lacks is beside it.
type transport struct {
	trans raft.Transport
	stand func(raft.ServerID) // at once for election; if it fails, a heartbeat time-out does it
}

// loopback is the transport of the only voter, who has nobody to talk to. A second, connected one stands
// for the cluster when the node is told to stand for election at once, which is an ordinary message of
// Raft (TimeoutNow): whoever is the only voter need not wait for a heartbeat that no one can send.
func loopback(name string) transport {
	addr, own := raft.NewInmemTransport(raft.ServerAddress(name))
	_, other := raft.NewInmemTransport("")
	other.Connect(addr, own)
	return transport{trans: own, stand: func(id raft.ServerID) {
		request := &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}}
		_ = other.TimeoutNow(id, addr, request, new(raft.TimeoutNowResponse))
	}}
}
