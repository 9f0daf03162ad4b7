package api

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientAddress is who a request is counted for. local says that it came from this machine, by no proxy.
//
// Behind a trusted proxy it is the last address of X-Forwarded-For that is not a trusted proxy's: what
// stands to the left of it was written by the client and may be anything. The zero address, which all whose
// address cannot be read share, is counted too.
func (l *limits) clientAddress(r *http.Request) (addr netip.Addr, local bool) {
	port, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, r.RemoteAddr == "@" || r.RemoteAddr == "" // a unix socket
	}
	addr = port.Addr().Unmap().WithZone("")
	if len(l.proxies) == 0 || !l.trusted(addr) {
		return addr, addr.IsLoopback()
	}
	hops := r.Header["X-Forwarded-For"]
	for i := len(hops) - 1; i >= 0; i-- {
		list := hops[i]
		for list != "" {
			var hop string
			if cut := strings.LastIndexByte(list, ','); cut >= 0 {
				list, hop = list[:cut], list[cut+1:]
			} else {
				list, hop = "", list
			}
			seen, ok := parseHop(strings.TrimSpace(hop))
			if !ok {
				return netip.Addr{}, false
			}
			if addr = seen; !l.trusted(addr) {
				return addr, false
			}
		}
	}
	return addr, false
}

func (l *limits) trusted(addr netip.Addr) bool {
	for _, p := range l.proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// parseHop reads an address as proxies write it, with or without a port.
func parseHop(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if p, err := netip.ParseAddrPort(s); err == nil {
		return p.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

// isLoopback is the usual case without parsing: the text of a loopback address and a port.
func isLoopback(remote string) bool {
	return strings.HasPrefix(remote, "127.") || strings.HasPrefix(remote, "[::1]:")
}

// network is what of an address is counted: an IPv4 address, or the /64 that one IPv6 customer has.
func network(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}
