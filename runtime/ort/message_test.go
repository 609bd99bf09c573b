package ort

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCleanMessage(t *testing.T) {
	const path = "/srv/tenon/view/abc/model.onnx"
	tests := []struct{ name, message, path, want string }{
		{
			"our folder", "Error creating C session from file: Load model from /srv/tenon/view/abc/model.onnx failed:Protobuf parsing failed.",
			path, "Load model from model.onnx failed:Protobuf parsing failed",
		},
		{
			"external data in our folder", "cannot open /srv/tenon/view/abc/weights.bin", path, "cannot open weights.bin",
		},
		{
			"their source",
			"Exception during initialization: /onnxruntime_src/onnxruntime/core/providers/cpu/text/string_normalizer.cc:235 Failed to construct",
			"", "Exception during initialization: Failed to construct",
		},
		{
			"their source on other systems", "fail: /Users/runner/work/1/s/onnxruntime/core/graph/model.h:12 no graph", "", "fail: no graph",
		},
		{
			"line breaks", "Error running network: Got invalid dimensions for input: x\n index: 1 Got: 4\n Please fix it.\n",
			path, "Got invalid dimensions for input: x index: 1 Got: 4 Please fix it",
		},
		{"not our words", "Error creating a thing: no", "", "Error creating a thing: no"},
		{"a relative path", "Load model from model.onnx failed. File doesn't exist", "model.onnx", "Load model from model.onnx failed. File doesn't exist"},
		{"dots in a message of a relative path", "expected a./b", "model.onnx", "expected a./b"},
		{"nothing", "", path, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := cleanMessage(test.message, test.path); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestCleanMessageHidesTheFolderBehindALink(t *testing.T) {
	folder, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "view")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	got := cleanMessage("does not exist: "+filepath.Join(folder, "weights.bin"), filepath.Join(link, "model.onnx"))
	if want := "does not exist: weights.bin"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCleanMessageIsBounded(t *testing.T) {
	got := cleanMessage(strings.Repeat("ö", 1000)+"x", "")
	if !utf8.ValidString(got) || len(got) > 510 || !strings.HasSuffix(got, "…") {
		t.Errorf("got %d bytes: %q", len(got), got)
	}
}

func TestLacksLocale(t *testing.T) {
	for message, want := range map[string]string{
		"Failed to construct locale with name:en_US.UTF-8:locale::facet::_S_create_c_locale name not valid": "en_US.UTF-8",
		"the node Locale_Gather failed": "",
	} {
		if got := lacksLocale(message); got != want {
			t.Errorf("%s: got %q, want %q", message, got, want)
		}
	}
}
