package bundle_test

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/fault"
)

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(manifest(f, penguins(f))))
	f.Add([]byte(listing(member("weights.bin"))))
	f.Add(bundle.BareManifest(3, sum))
	f.Add([]byte(`{"bundle":1,"files":{"a":{}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := bundle.ParseManifest(data)
		if (m == nil) == (err == nil) || (err != nil && !fault.Is(err, fault.InvalidBundle)) {
			t.Fatalf("%+v, %v", m, err)
		}
		if m != nil && (!m.Has(bundle.ModelFile) || !json.Valid(data)) {
			t.Fatalf("accepted: %s", data)
		}
	})
}

func FuzzParseSignature(f *testing.F) {
	f.Add([]byte(penguinSignature))
	f.Add([]byte(signature))
	f.Add([]byte(`{"inputs":[{"name":"x","type":"bool","column":0}],"outputs":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := bundle.ParseSignature(data)
		if err != nil {
			if s != nil || !fault.Is(err, fault.InvalidBundle) {
				t.Fatalf("%+v, %v", s, err)
			}
			return
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bundle.ParseSignature(text); err != nil {
			t.Fatalf("%s\nis written as\n%s\nand then: %v", data, text, err)
		}
	})
}

func FuzzReceive(f *testing.F) {
	list := entries(f, penguins(f))
	f.Add(pack(f, list...))
	slices.Reverse(list)
	f.Add(pack(f, list...))
	f.Add(pack(f, list[:3]...))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := bundle.Receive(bytes.NewReader(data), discard{io.Discard}, bundle.Limits{Bytes: 1 << 20})
		if err != nil {
			if kind := fault.As(err); got != nil || kind == nil || (kind.Code != fault.InvalidBundle && kind.Code != fault.UploadTooLarge) {
				t.Fatalf("%+v, %v", got, err)
			}
			return
		}
		if got.Digest != bundle.Digest(got.Raw) || got.Bytes < int64(len(got.Raw)) {
			t.Fatalf("%+v", got)
		}
	})
}
