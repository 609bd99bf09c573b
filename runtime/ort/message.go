package ort

import (
	"path/filepath"
	"regexp"
	"strings"
)

// sourcePlace is where in its own source ONNX Runtime failed, which says
// nothing to people who do not build it.
var sourcePlace = regexp.MustCompile(`/\S*onnxruntime\S*/\S+\.(cc|h):\d+\s*`)

// cleanMessage takes our folder and ONNX Runtime's source places out of one of
// its messages, and bounds it.
func cleanMessage(message, path string) string {
	if path != "" {
		message = strings.ReplaceAll(message, filepath.Dir(path)+string(filepath.Separator), "")
	}
	message = sourcePlace.ReplaceAllString(message, "")
	message = strings.Join(strings.Fields(message), " ")
	const most = 500 // the rest is a stack of C++ names
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "…"
	}
	return strings.TrimRight(message, " .")
}

func mentionsLocale(message string) bool {
	return strings.Contains(strings.ToLower(message), "locale")
}
