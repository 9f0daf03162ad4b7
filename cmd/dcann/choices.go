package main

import "github.com/spf13/cobra"

// choices tells the shell which values a flag takes.
func choices(c *cobra.Command, flag string, values ...string) {
	complete := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values, cobra.ShellCompDirectiveNoFileComp
	}
	if err := c.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic("completion of --" + flag + ": " + err.Error()) // the flag is not there: a mistake in this program
	}
}
