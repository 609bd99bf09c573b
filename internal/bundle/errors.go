package bundle

import (
	"fmt"
	"strconv"

	"github.com/tenon-ml/tenon/internal/fault"
)

// maxFindings bounds what one refused file reports.
const maxFindings = 20

// maxEcho is how many characters of a value an error repeats.
const maxEcho = 64

// refuse returns the fault of a broken bundle.
func refuse(format string, args ...any) *fault.Error {
	return fault.New(fault.Unprocessable, fault.InvalidBundle, format, args...)
}

// tooLarge returns the fault of a bundle over a limit.
func tooLarge(format string, args ...any) *fault.Error {
	return fault.New(fault.TooLarge, fault.UploadTooLarge, format, args...)
}

// findings collects what is wrong inside one JSON file of a bundle. Paths are
// like "signature.json: inputs[3].type".
type findings struct {
	file   string
	remedy string
	fault  *fault.Error
	more   int
}

func (f *findings) add(path, code, format string, args ...any) {
	if f.fault == nil {
		f.fault = refuse("%s does not follow the bundle format: %s", f.file, f.remedy)
	}
	if len(f.fault.Fields) == maxFindings {
		f.more++
		return
	}
	f.fault.At(f.at(path), code, format, args...)
}

func (f *findings) at(path string) string {
	if path == "" {
		return f.file
	}
	return f.file + ": " + path
}

// err returns what was found, or nil.
func (f *findings) err() error {
	if f.fault == nil {
		return nil
	}
	if f.more > 0 {
		f.fault.Detail += fmt.Sprintf(" (%d more findings are not shown)", f.more)
		f.more = 0
	}
	return f.fault
}

// quote echoes the beginning of a value.
func quote(s string) string {
	if r := []rune(s[:min(len(s), 4*maxEcho+4)]); len(r) > maxEcho {
		s = string(r[:maxEcho]) + "…"
	}
	return strconv.Quote(s)
}
