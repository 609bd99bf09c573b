package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/ref"
)

func rollbackCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "rollback MODEL",
		Short: "Go back to the version that was in traffic before",
		Long: "End the canary that is on trial; where none is, put the version back into traffic that was there before the current one.\n" +
			"It is still loaded, so it takes over at once. Said again, it goes forward again.",
		Args: arguments(1, 1),
	}
	to := c.Flags().Int("to", 0, "go to this version instead")
	expected := c.Flags().Int("expected", 0, "refuse unless this is the number of the current deployment")
	reason := c.Flags().String("reason", "", `why, for the record (default "rollback")`)
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := ref.Parse(args[0])
		if err != nil {
			return err
		}
		if r.Version > 0 || r.Alias != "" {
			return usageError{fmt.Errorf("a rollback is of a whole model: `tenon rollback %s`, or with --to VERSION", r.Model)}
		}
		if c.Flags().Changed("to") && *to < 1 {
			return usageError{fmt.Errorf("--to is %d, and versions are whole numbers from 1", *to)}
		}
		server, err := a.client()
		if err != nil {
			return err
		}
		back := wire.Rollback{To: *to, Reason: *reason}
		if c.Flags().Changed("expected") {
			back.Expected = expected
		}
		done, err := server.Rollback(c.Context(), r.Model, back)
		if err != nil {
			return err
		}
		return a.print(done, func() { a.tellDeployed(done) })
	}
	return c
}
