package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/api/wire"
)

func operationsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "operations",
		Short: "Show the examinations and rehearsals that run and that ran, newest first",
		Args:  arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			server, err := a.client()
			if err != nil {
				return err
			}
			list, err := server.Operations(c.Context())
			if err != nil {
				return err
			}
			return a.print(list, func() { a.tellOperations(list) })
		},
	}
}

func (a *app) tellOperations(list wire.Operations) {
	if len(list.Operations) == 0 {
		fmt.Fprintln(a.out, "nothing was pushed or rehearsed since the server started")
		return
	}
	var rows [][]string
	for _, o := range list.Operations {
		rows = append(rows, []string{o.ID, o.Model, o.State, when(o.Created), outcome(o)})
	}
	table(a.out, "ID MODEL STATE BEGUN RESULT", rows)
}

// outcome is what came of an operation, or how far it is.
func outcome(o wire.Operation) string {
	switch {
	case o.Result != nil:
		return fmt.Sprintf("%s/%d, %s", o.Result.Model, o.Result.Version, verdict(o.Result.Parity, o.Result.Loosened))
	case o.Divergence != nil:
		return clipped(o.Divergence.Summary, 100)
	case o.Error != nil:
		return clipped(o.Error.Code+": "+o.Error.Detail, 100)
	case o.Total > 0:
		return fmt.Sprintf("%d of %d requests", o.Done, o.Total)
	default:
		return orDash(o.Phase)
	}
}
