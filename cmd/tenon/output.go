package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// print writes a result as JSON where that was asked for, else by people.
func (a *app) print(result any, people func()) error {
	if !a.json {
		people()
		return nil
	}
	encoder := json.NewEncoder(a.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(result)
}

// table writes rows under a head, aligned.
func table(to io.Writer, head string, rows [][]string) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(head, " ", "\t"))
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // to a writer that fails, nothing can be said
}

// shortDigest is enough of a digest to tell versions apart by eye.
func shortDigest(digest string) string {
	const enough = len("sha256:") + 12
	if len(digest) < enough {
		return digest
	}
	return digest[:enough]
}

// verdict words a parity, and what a version was held to where that is less
// than the defaults: "proven (agreement ≥ 99 %)".
func verdict(parity, loosened string) string {
	if loosened == "" {
		return parity
	}
	return fmt.Sprintf("%s (%s)", parity, printable(loosened))
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
