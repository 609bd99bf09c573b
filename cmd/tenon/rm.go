package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/internal/ref"
)

func rmCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "rm MODEL/VERSION",
		Short: "Delete a version that takes no requests",
		Long: "Delete a version for good: it is unloaded, and its number is never given again. One that is in traffic or has an alias is refused.\n" +
			"Its files stay on the disk until `tenon gc`.",
		Args: arguments(1, 1),
	}
	reason := c.Flags().String("reason", "", "why, for the record")
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := ref.Parse(args[0])
		if err != nil {
			return err
		}
		if r.Version == 0 {
			return usageError{fmt.Errorf("say which version, as in `tenon rm %s/1`", r.Model)}
		}
		server, err := a.client()
		if err != nil {
			return err
		}
		done, err := server.DeleteVersion(c.Context(), r.Model, r.Version, *reason)
		if err != nil {
			return err
		}
		return a.print(done, func() { fmt.Fprintf(a.out, "%s/%d is gone; `tenon gc` frees its files\n", done.Model, done.Version) })
	}
	return c
}
