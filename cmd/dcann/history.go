package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/dcann/dcann/registry"
	"github.com/dcann/dcann/registry/jws"
	"github.com/dcann/dcann/registry/wire"
)

// historyLine is an operation as this command shows it: what the registry says of it, and what was found
// when it was replayed.
type historyLine struct {
	wire.HistoryEntry
	Act    registry.Act  `json:"act"`
	Signer jws.Multikey  `json:"signer"`
	Undo   registry.OpID `json:"undo,omitzero"`
}

func newHistoryCommand(a *app, of string) *cobra.Command {
	return &cobra.Command{
		Use:   "history DID",
		Short: "list and verify all operations of a record",
		Long: `Lists every operation of a record, oldest first, undone ones too. Each signature and the
whole chain, from the create whose hash is the identifier, are verified on this machine.`,
		Example: fmt.Sprintf("  dcann %s history did:dcann:xz:b…\n  dcann %s history -o json did:dcann:xz:b…", of, of),
		Args:    exactly("DID"),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := a.look(c.Context(), args[0])
			if err != nil {
				return err
			}
			defer s.Close()
			lines := make([]historyLine, len(s.chain.entries))
			for i, e := range s.chain.entries {
				lines[i] = historyLine{e.HistoryEntry, e.operation.Act, e.operation.Signer, e.operation.Undo}
			}
			return a.show(lines, func(w io.Writer) {
				for _, l := range lines {
					note := ""
					if l.Undone {
						note = "  (undone)"
					}
					_ = printLine(w, "%3d  %s  %-10s  %s  by %s%s", l.Seq, l.Time, l.Act, l.Op, l.Signer, note)
				}
			})
		},
	}
}
