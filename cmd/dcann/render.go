package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// shownRecord is the part of a record as signed that people are shown. It is for the eye only: what a
// wallet builds on comes from the verified history (wallet.go).
type shownRecord struct {
	Rotation []jws.Multikey `json:"rotation"`
	Keys     []registry.Key `json:"keys"`
	Strands  []struct{}     `json:"strands"`

	Name         string              `json:"name"`
	LEI          string              `json:"lei"`
	Jurisdiction string              `json:"jurisdiction"`
	Roles        []string            `json:"roles"`
	Domain       string              `json:"domain"`
	Endpoints    []registry.Endpoint `json:"endpoints"`
}

func shown(r wire.Record) (s shownRecord) {
	if len(r.Record) > 0 {
		_ = wire.Decode(r.Record, &s) // what cannot be read is not shown
	}
	return s
}

func (a *app) showRecord(ctx context.Context, arg string) error {
	id, err := parseID(arg)
	if err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := c.Record(ctx, id)
	if err != nil {
		return err
	}
	return a.show(r, func(w io.Writer) { writeRecord(w, r) })
}

func writeRecord(w io.Writer, r wire.Record) {
	_ = printLine(w, "%s", r.ID)
	line := func(name, format string, args ...any) {
		_ = printLine(w, "  %-10s %s", name, fmt.Sprintf(format, args...))
	}
	line("kind", "%s, %s", r.Kind, r.Status)
	line("head", "%s (operation %d)", r.Head, r.Seq)
	line("created", "%s, changed %s", r.Created, r.Updated)
	if r.FinalAt != 0 {
		line("undoable", "by a stronger key until %s", r.FinalAt)
	}
	s := shown(r)
	if o := r.Organisation; o != nil {
		line("status", "%s, epoch %d%s", o.Status, o.Epoch, after(", ", o.Reason))
		line("name", "%s (%s)%s%s", s.Name, s.Jurisdiction, after(", ", s.Domain), after(", LEI ", s.LEI))
		line("roles", "%s", strings.Join(s.Roles, ", "))
	}
	for _, e := range s.Endpoints {
		line("endpoint", "%s (%s)", e.URL, e.Protocol)
	}
	for i, k := range s.Rotation {
		line(first(i, "rotation"), "%d %s", i+1, k)
	}
	for i, k := range s.Keys {
		retired := ""
		if k.Retired != nil {
			retired = ", retired"
		}
		line(first(i, "keys"), "%s %s (%s%s)", k.ID, k.Key, uses(k.Use), retired)
	}
	if r.Kind == registry.Passport && r.Record != nil {
		line("strands", "%d shown, among %d digests", len(r.Strands), len(s.Strands))
	}
	for _, strand := range r.Strands {
		_ = printLine(w, "    %-12s %s", strand.ID, leadsTo(strand))
		_ = printLine(w, "    %-12s %s", "", strings.Join(append(strand.Class, strand.Tags...), " "))
	}
}

// leadsTo says where a strand leads, or why it does not.
func leadsTo(s wire.Strand) string {
	if s.Withheld != "" {
		return fmt.Sprintf("withheld: %s (provider %s)", s.Withheld, s.Provider)
	}
	return strings.Join(s.Endpoint, " ")
}

func organisationLine(r wire.Record) string {
	s, status := shown(r), registry.OrgStatus(r.Status)
	if r.Organisation != nil {
		status = r.Organisation.Status
	}
	return fmt.Sprintf("%s  %-9s  %s  %s", r.ID, status, s.Name, strings.Join(s.Roles, ","))
}

// after is s with a lead, or nothing.
func after(lead, s string) string {
	if s == "" {
		return ""
	}
	return lead + s
}

// first is name for the first line of several.
func first(i int, name string) string {
	if i > 0 {
		return ""
	}
	return name
}

func uses(list []registry.Use) string {
	texts := make([]string, len(list))
	for i, u := range list {
		texts[i] = string(u)
	}
	return strings.Join(texts, ", ")
}
