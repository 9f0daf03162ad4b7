package main

import "github.com/spf13/cobra"

func newClusterPolicyCommand(a *app) *cobra.Command {
	var node operatorFlags
	c := &cobra.Command{
		Use:   "policy --config FILE POLICY",
		Short: "introduce the next policy of the registry",
		Long: `Sends a signed policy to the cluster; from then on all nodes go by it. It is made by
dcann policy next, and signed by an accreditation key of the policy in force. The files of
the first policy, which the nodes were started with, stay as they are.`,
		Example: `  dcann policy next --key D/accreditation.pem --per-hour 20 --out xa-2.jwt
  dcann cluster policy --config D/n1/node.yaml xa-2.jwt`,
		Args: exactly("POLICY"),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := readStatement(args[0])
			if err != nil {
				return err
			}
			address, err := node.address(a, c)
			if err != nil {
				return err
			}
			return a.submitPolicy(c.Context(), address, text)
		},
	}
	node.add(c)
	return c
}
