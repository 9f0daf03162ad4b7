package registry

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	// An absolute URI of RFC 3986, as far as its alphabet goes.
	protocolPattern = regexp.MustCompile(`^[a-z][a-z0-9+.-]{0,63}:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,255}$`)
	hostPattern     = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	numericPattern  = regexp.MustCompile(`(^|\.)(0x[0-9a-f]*|[0-9]+)$`)
)

func (r *Record) checkEndpoints() error {
	if r.HasRole(RoleProvider) != (len(r.Endpoints) > 0) {
		return invalid("record.endpoints: expected at least one of a provider and none of others")
	}
	if len(r.Endpoints) > MaxEndpoints {
		return invalid("record.endpoints has %d entries: expected at most %d", len(r.Endpoints), MaxEndpoints)
	}
	for i, e := range r.Endpoints {
		if !protocolPattern.MatchString(e.Protocol) {
			return invalid("record.endpoints[%d].protocol %.64q: expected an absolute URI", i, e.Protocol)
		}
		if err := checkEndpointURL(e.URL); err != nil {
			return invalid("record.endpoints[%d].url %.80q: %v", i, e.URL, err)
		}
		if slices.Contains(r.Endpoints[:i], e) {
			return invalid("record.endpoints[%d] stands twice", i)
		}
	}
	return nil
}

// checkEndpointURL accepts https URLs in one spelling, so that two readers cannot see two hosts in it, and
// so that whatever is appended to it stays below it.
func checkEndpointURL(s string) error {
	if len(s) > MaxURL {
		return invalid("longer than %d bytes", MaxURL)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == '\\' }):
		return invalid("expected an absolute URL in ASCII, without spaces or backslashes")
	case u.Scheme != "https" || u.Hostname() == "":
		return invalid("expected https://host/…")
	case u.User != nil || strings.ContainsAny(s, "?#"):
		return invalid("expected no userinfo, query or fragment")
	case !strings.HasSuffix(s, "/") || u.Path == "":
		return invalid("expected a path that ends in /")
	}
	if err := checkHost(u); err != nil {
		return err
	}
	if normal := "https://" + u.Host + u.EscapedPath(); normal != s {
		return invalid("expected the normal form %.80q", normal)
	}
	segments := strings.Split(u.EscapedPath(), "/")
	for i, seg := range segments[1 : len(segments)-1] {
		plain, err := url.PathUnescape(seg)
		if err != nil || seg == "" || plain == "." || plain == ".." || strings.ContainsFunc(plain, separates) {
			return invalid("path segment %d: expected no empty one, dot segment or encoded separator", i+1)
		}
	}
	return nil
}

// separates reports what a path segment must not hold once it is decoded.
func separates(c rune) bool { return c == '/' || c == '\\' || c == '%' || c < ' ' || c == 0x7f }

// checkHost accepts lower-case names and IP addresses in their usual spelling. Browsers read 2130706433
// and 0x7f.1 as addresses: such names are refused.
func checkHost(u *url.URL) error {
	host, port := u.Hostname(), u.Port()
	if port != "" || strings.HasSuffix(u.Host, ":") {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || n == 443 || strconv.FormatUint(n, 10) != port {
			return invalid("port %.8q: expected 1 to 65535, and none when it is 443", port)
		}
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case err == nil && addr.Zone() == "" && addr.String() == host:
		return nil
	case err == nil || len(host) > 253 || !hostPattern.MatchString(host) || numericPattern.MatchString(host):
		return invalid("host %.80q: expected a lower-case name of letters, digits and hyphens, or an IP address", host)
	}
	return nil
}
