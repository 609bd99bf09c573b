package ort

import (
	"path/filepath"
	"regexp"
	"strings"
)

// sourcePlace is where in its own source ONNX Runtime failed, which says
// nothing to people who do not build it.
var sourcePlace = regexp.MustCompile(`/\S*onnxruntime\S*/\S+\.(cc|h):\d+\s*`)

// bindingWords are what the binding puts before ONNX Runtime's own message.
var bindingWords = regexp.MustCompile(`^Error (creating C session( from file)?|running network): `)

// cleanMessage takes our folder and ONNX Runtime's source places out of one of
// its messages, and bounds it.
func cleanMessage(message, path string) string {
	if dir := filepath.Dir(path); dir != "." { // an empty or bare path has no folder to hide
		message = strings.ReplaceAll(message, dir+string(filepath.Separator), "")
		// ONNX Runtime follows links before it names a file beside the model.
		if followed, err := filepath.EvalSymlinks(dir); err == nil {
			message = strings.ReplaceAll(message, followed+string(filepath.Separator), "")
		}
	}
	message = bindingWords.ReplaceAllString(message, "")
	message = sourcePlace.ReplaceAllString(message, "")
	message = strings.Join(strings.Fields(message), " ")
	const most = 500 // the rest is a stack of C++ names
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "…"
	}
	return strings.TrimRight(message, " .")
}

// missingLocale is how ONNX Runtime says that the system lacks a locale.
var missingLocale = regexp.MustCompile(`locale with name:\s*([\w.@-]+)`)

// lacksLocale returns the locale that ONNX Runtime did not find, or "".
func lacksLocale(message string) string {
	if m := missingLocale.FindStringSubmatch(message); m != nil {
		return m[1]
	}
	return ""
}
