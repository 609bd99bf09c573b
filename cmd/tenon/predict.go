package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/api/client"
	"github.com/tenon-ml/tenon/internal/ref"
)

func predictCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "predict REFERENCE [FILE]",
		Short: "Send a request from a file, or the version's own example",
		Long: "Send a predict request. FILE holds {\"instances\":[…]} or {\"inputs\":{…}}, or just the list of rows; - is standard input.\n" +
			"REFERENCE is MODEL, MODEL/VERSION or MODEL@ALIAS.",
		Args: arguments(1, 2),
	}
	example := c.Flags().Bool("example", false, "send a request from the version's golden set in place of FILE")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *example != (len(args) == 1) {
			return usageError{fmt.Errorf("give a FILE (- for standard input), or --example")}
		}
		r, err := ref.Parse(args[0])
		if err != nil {
			return err
		}
		server, err := a.client()
		if err != nil {
			return err
		}
		var body []byte
		if *example {
			body, err = a.example(c, server, r)
		} else {
			body, err = a.body(args[1])
		}
		if err != nil {
			return err
		}
		return a.predict(c, server, r, body)
	}
	return c
}

func (a *app) predict(c *cobra.Command, server *client.Client, r ref.Reference, body []byte) error {
	answer, err := server.Predict(c.Context(), r, body)
	if err != nil {
		return err
	}
	return a.print(answer, func() { fmt.Fprintf(a.out, "%s\n", answer) })
}

// body reads a request; a bare list is a list of rows.
func (a *app) body(file string) ([]byte, error) {
	var data []byte
	var err error
	if file == "-" {
		data, err = io.ReadAll(a.in)
	} else {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("the request cannot be read: %w", err)
	}
	if trimmed := bytes.TrimSpace(data); bytes.HasPrefix(trimmed, []byte("[")) {
		return json.Marshal(map[string]json.RawMessage{"instances": trimmed})
	}
	return data, nil
}

// example fetches a golden request and shows it.
func (a *app) example(c *cobra.Command, server *client.Client, r ref.Reference) ([]byte, error) {
	n := r.Version
	if n == 0 {
		model, err := server.Model(c.Context(), r)
		if err != nil {
			return nil, err
		}
		n = model.Stable
		if r.Alias != "" {
			n = model.Aliases[r.Alias]
		}
		if n == 0 {
			n = model.Latest
		}
	}
	body, err := server.Example(c.Context(), r.Model, n)
	if err == nil && !a.json {
		fmt.Fprintf(a.err, "%s\n", body)
	}
	return body, err
}
