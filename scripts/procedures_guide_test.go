package scripts_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sections are the procedures of the operator's guide and the commands of each, in their order.
func sections(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "node", "DESIGN.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, guide, _ := strings.Cut(string(text), "\n## The operator's guide\n")
	guide, _, _ = strings.Cut(guide, "\n## ")
	found := map[string][]string{}
	for _, section := range strings.Split(guide, "\n### ")[1:] {
		title, body, _ := strings.Cut(section, "\n")
		for _, block := range shellBlock.FindAllStringSubmatch(body, -1) {
			found[title] = append(found[title], strings.Split(strings.TrimSpace(block[1]), "\n")...)
		}
	}
	return found
}

// guide is a section of the operator's guide, whose commands a test types one after the other. One that
// types not all of them fails.
type guide struct {
	*desk
	title string
	left  []string
}

// open opens the guide at a section.
func (d *desk) open(title string) *guide {
	d.t.Helper()
	lines := sections(d.t)[title]
	if len(lines) == 0 {
		d.t.Fatalf("node/DESIGN.md has no section %q with commands", title)
	}
	return &guide{d, title, lines}
}

// end is called when a procedure is done.
func (g *guide) end() {
	g.t.Helper()
	if len(g.left) > 0 {
		g.t.Errorf("%s: the test does not run %q", g.title, g.left)
	}
}

var (
	onMachine = regexp.MustCompile(` # on (\w+)$`)
	systemctl = regexp.MustCompile(`^systemctl (start --no-block|stop|restart) dcann$`)
	servesOn  = regexp.MustCompile(`^dcann serve --config (\S+)$`)
)

// next takes the next command, which begins with prefix.
func (g *guide) next(prefix string) string {
	g.t.Helper()
	if len(g.left) == 0 || !strings.HasPrefix(g.left[0], prefix) {
		g.t.Fatalf("%s: the guide goes on with %q: expected a command that begins with %q", g.title, g.left, prefix)
	}
	line := g.left[0]
	g.left = g.left[1:]
	return line
}

// run types the next command, which begins with prefix, and returns what it printed.
func (g *guide) run(prefix string) string {
	g.t.Helper()
	return g.do(g.next(prefix))
}

// do types one command of the guide.
func (g *guide) do(line string) string {
	g.t.Helper()
	command, machine := line, ""
	if m := onMachine.FindStringSubmatch(line); m != nil {
		command, machine = strings.TrimSuffix(line, m[0]), m[1]
	}
	if m := systemctl.FindStringSubmatch(command); m != nil {
		settings := "D/" + machine + "/node.yaml"
		if !strings.HasPrefix(m[1], "start") {
			g.stop(settings)
		}
		if m[1] != "stop" {
			g.start(settings)
		}
		return ""
	}
	if m := servesOn.FindStringSubmatch(command); m != nil {
		g.start(m[1])
		return ""
	}
	return g.typed(command)
}

// upTo types commands up to and with the next one that begins with prefix.
func (g *guide) upTo(prefix string) string {
	g.t.Helper()
	for len(g.left) > 0 && !strings.HasPrefix(g.left[0], prefix) {
		g.run("")
	}
	return g.run(prefix)
}

// procedures are the tests that run the sections.
var procedures = map[string]func(*testing.T){
	"Founding a registry":                        procedureFounding,
	"Adding a read replica":                      procedureReplica,
	"Making a read replica vote":                 procedurePromotion,
	"Rolling restart":                            procedureRollingRestart,
	"Rolling upgrade":                            procedureRollingUpgrade,
	"Replacing a dead disk":                      procedureDeadDisk,
	"Replacing a machine by one with a new name": procedureNewName,
	"Taking a node out":                          procedureTakingOut,
	"Moving a node to another address":           procedureMoving,
	"Losing a minority":                          procedureMinority,
	"Losing the majority":                        procedureMajority,
	"Backup":                                     procedureBackup,
	"Restoring to a single node":                 nil, // with the backup
	"Restoring a registry":                       nil, // with the backup
	"Changing the policy":                        procedurePolicy,
	"Renewing a node's certificate":              procedureCertificate,
	"A new authority":                            nil, // with the certificate
}

// TestProcedures runs every procedure of the operator's guide, command by command, on real nodes.
func TestProcedures(t *testing.T) {
	t.Parallel()
	for title := range sections(t) {
		if _, ok := procedures[title]; !ok {
			t.Errorf("no test runs the section %q of node/DESIGN.md", title)
		}
	}
	for title, test := range procedures {
		if test != nil {
			t.Run(strings.ReplaceAll(title, " ", "-"), func(t *testing.T) {
				t.Parallel()
				test(t)
			})
		}
	}
}

// TestGuideIsTyped: what the guide has in shell blocks is dcann, systemctl on a named machine, or a tool that
// every machine has, so that it can be typed as it stands.
func TestGuideIsTyped(t *testing.T) {
	t.Parallel()
	may := []string{"dcann", "systemctl", "until", "install", "rm", "sed", "printf", "curl"}
	for title, lines := range sections(t) {
		for _, line := range lines {
			first, _, _ := strings.Cut(line, " ")
			if !slices.Contains(may, first) || strings.HasSuffix(line, `\`) {
				t.Errorf("%s: %q: expected one line that begins with one of %v", title, line, may)
			}
			if first == "systemctl" && !systemctl.MatchString(onMachine.ReplaceAllString(line, "")) || first == "systemctl" && !onMachine.MatchString(line) {
				t.Errorf("%s: %q: expected systemctl stop or restart dcann # on NAME, or start --no-block", title, line)
			}
		}
	}
}
