package main

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/registry"
)

func logCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "log MODEL",
		Short: "Show all that was done to a model, oldest first",
		Args:  arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := ref.Parse(args[0])
			if err != nil {
				return err
			}
			server, err := a.client()
			if err != nil {
				return err
			}
			log, err := server.Log(c.Context(), r.Model)
			if err != nil {
				return err
			}
			return a.print(log, func() { a.tellLog(log) })
		},
	}
}

func (a *app) tellLog(log wire.Log) {
	var rows [][]string
	for _, raw := range log.Records {
		var r registry.Record
		if err := json.Unmarshal(raw, &r); err != nil {
			rows = append(rows, []string{"?", "-", "-", "-", "-", "a record that this release cannot read"})
			continue
		}
		rows = append(rows, []string{
			strconv.Itoa(r.Seq), when(r.Time), string(r.Kind), orDash(r.Actor), orDash(r.RequestID), happened(r),
		})
	}
	table(a.out, "SEQ TIME KIND BY REQUEST WHAT", rows) // what happened may be long
}

// happened words a record.
func happened(r registry.Record) string {
	switch {
	case r.Version != nil:
		return fmt.Sprintf("version %d, %s, %s", r.Version.Version, verdict(string(r.Version.Parity), r.Version.Loosened), shortDigest(r.Version.Digest))
	case r.Examined != nil:
		return fmt.Sprintf("version %d is %s", r.Examined.Version, verdict(string(r.Examined.Parity), r.Examined.Loosened))
	case r.Alias != nil && r.Alias.Version == 0:
		return fmt.Sprintf("@%s is gone", r.Alias.Name)
	case r.Alias != nil:
		return fmt.Sprintf("@%s points to version %d", r.Alias.Name, r.Alias.Version)
	case r.Deployment != nil:
		return trafficOf("version ", r.Deployment.Traffic) + because(r.Deployment.Reason)
	case r.Deleted != nil:
		return fmt.Sprintf("version %d is gone%s", r.Deleted.Version, because(r.Deleted.Reason))
	}
	return "-"
}
