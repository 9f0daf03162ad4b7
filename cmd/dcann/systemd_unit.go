package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/node"
)

// unitFile lets a node do what it has to and no more: it writes its own directories, talks by network and
// unix sockets, and starts no other program.
var unitFile = template.Must(template.New("unit").Parse(`# {{.Unit}}: node {{.Name}} of a DCANN registry, made by dcann systemd-unit.
#   useradd --system --home-dir / --shell /usr/sbin/nologin {{.User}}
#   install -d -o {{.User}} -m 0700{{range .Writes}} {{.}}{{end}}
#   (and what {{.File}} names must be {{.User}}'s to read)
#   systemctl daemon-reload && systemctl enable --now --no-block {{.Unit}}
[Unit]
Description=DCANN registry, node {{.Name}}
After=network-online.target
Wants=network-online.target
# A node that is restarted for long, because its disk is full, must come back when there is room.
StartLimitIntervalSec=0

[Service]
# Started when it answers. The first nodes of a registry wait for each other: hence no time-out.
Type=notify
TimeoutStartSec=infinity
User={{.User}}
ExecStart={{.Command}} serve --config {{.Config}}
Restart=always
RestartSec=1
# A mistake in the configuration does not go away by itself.
RestartPreventExitStatus={{.Usage}}
WatchdogSec=30
TimeoutStopSec={{.Stop}}
LimitNOFILE=65536
UMask=0077

ProtectSystem=strict
ReadWritePaths={{range $i, $p := .Writes}}{{if $i}} {{end}}{{$p}}{{end}}
ProtectHome=read-only
PrivateTmp={{.PrivateTmp}}
PrivateDevices=yes
NoNewPrivileges=yes
CapabilityBoundingSet={{.Capability}}
AmbientCapabilities={{.Capability}}
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`))

func newSystemdUnitCommand(a *app) *cobra.Command {
	var file, user string
	c := &cobra.Command{
		Use:   "systemd-unit --config FILE",
		Short: "print a systemd unit that keeps a node running",
		Long: `Prints a unit file for a node: started when it answers, watched, restarted when it ends, and
kept from everything on the machine but its own directories. The settings of FILE decide what
it may write and whether it may listen on a port below 1024; print the unit anew when they
change.`,
		Example: `  dcann systemd-unit --config /etc/dcann/node.yaml > /etc/systemd/system/dcann.service
  systemctl daemon-reload && systemctl enable --now --no-block dcann`,
		Args: exactly(),
	}
	c.Flags().StringVar(&file, "config", "", "file for dcann serve --config")
	c.Flags().StringVar(&user, "user", "dcann", "user that the node runs as")
	c.RunE = func(*cobra.Command, []string) error {
		file, err := filepath.Abs(file)
		if err != nil {
			return usageError{err}
		}
		s, err := serveFromYAML(file)
		if err != nil {
			return err
		}
		program, err := os.Executable()
		if err != nil {
			return err
		}
		capability := ""
		if privileged(s.config) {
			capability = "CAP_NET_BIND_SERVICE"
		}
		var quoted []string
		inTemporary := false
		for _, path := range s.writes() {
			quoted = append(quoted, unitQuote(path))
			inTemporary = inTemporary || strings.HasPrefix(path, "/tmp/") || strings.HasPrefix(path, "/var/tmp/")
		}
		private := "yes"
		if inTemporary {
			private = "no" // it would be another /tmp
		}
		return writeUnit(a.stdout, map[string]any{
			"Unit": "dcann.service", "Name": s.config.Name, "User": user, "File": file, "Writes": quoted,
			"Command": commandQuote(program), "Config": commandQuote(file), "Usage": exitUsage, "Capability": capability,
			"PrivateTmp": private, "Stop": int((s.config.ShutdownGrace + 30*time.Second) / time.Second),
		})
	}
	required(c, "config")
	return c
}

func writeUnit(w io.Writer, values map[string]any) error { return unitFile.Execute(w, values) }

// writes are the directories that the node writes to, absolute if the file was named so.
func (s serveFlags) writes() []string {
	dirs := []string{filepath.Clean(s.config.Data)}
	add := func(path string) {
		if dir := filepath.Dir(path); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	if socket, ok := strings.CutPrefix(s.config.Admin, "unix:"); ok {
		add(socket)
	}
	if s.readyFile != "" {
		add(s.readyFile)
	}
	return dirs
}

// privileged reports whether a node listens on a port that only root may.
func privileged(c node.Config) bool {
	return slices.ContainsFunc([]string{c.HTTP, c.NodeListen}, func(address string) bool {
		_, name, err := net.SplitHostPort(address)
		if err != nil {
			return false
		}
		port, err := net.LookupPort("tcp", name)
		return err == nil && port > 0 && port < 1024
	})
}

// unitQuote is text as one word of a unit file, in which % means something.
func unitQuote(text string) string {
	return strings.ReplaceAll(strconv.Quote(text), "%", "%%")
}

// commandQuote is unitQuote in a command line, in which $ does too.
func commandQuote(text string) string { return strings.ReplaceAll(unitQuote(text), "$", "$$") }
