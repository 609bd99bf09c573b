package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/ref"
)

func deployCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "deploy MODEL/VERSION",
		Short: "Put a version into traffic",
		Args:  arguments(1, 1),
	}
	reason := c.Flags().String("reason", "", "why, for the record")
	expected := c.Flags().Int("expected", 0, "refuse unless this is the number of the current deployment (0: none)")
	isolation := c.Flags().String("isolation", "", "the process it runs in: auto, shared or process (default: the server's runtime.isolation)")
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := ref.Parse(args[0])
		if err != nil {
			return err
		}
		if r.Version == 0 {
			return usageError{fmt.Errorf("say which version, as in `tenon deploy %s/1`", r.Model)}
		}
		server, err := a.client()
		if err != nil {
			return err
		}
		d := wire.Deploy{Stable: r.Version, Reason: *reason, Isolation: *isolation}
		if c.Flags().Changed("expected") {
			d.Expected = expected
		}
		done, err := server.Deploy(c.Context(), r.Model, d)
		if err != nil {
			return err
		}
		return a.print(done, func() { a.tellDeployed(done) })
	}
	return c
}

func (a *app) tellDeployed(d wire.Deployment) {
	fmt.Fprintf(a.out, "%s/%d takes the traffic (deployment %d)\n", d.Model, d.Stable, d.Number)
}
