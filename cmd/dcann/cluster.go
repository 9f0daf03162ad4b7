package main

import "github.com/spf13/cobra"

func newClusterCommand(a *app) *cobra.Command {
	return group("cluster", "run several nodes as one registry",
		`Three or five nodes are one registry that goes on when a minority of them fails; read
replicas beside them answer reads and never vote. Begin with dcann cluster init.

Commands on a running cluster may be given to any of its nodes, by the file that it was
started with (--config D/n1/node.yaml) or its operator's address (--admin unix:PATH); the
node hands them on to the one that leads.`,
		newClusterInitCommand(a), newClusterStatusCommand(a), newClusterJoinCommand(a), newClusterRemoveCommand(a),
		newClusterTransferCommand(a), newClusterCheckCommand(a), newClusterPolicyCommand(a), newClusterUpgradeCommand(a),
		newClusterRenewCommand(a), newClusterRecoverCommand(a))
}
