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

func FuzzParseProfile(f *testing.F) {
	f.Add([]byte(`{"rows":2,"inputs":{"x":{"kind":"numeric","missing":1,"non_finite":0,"min":1,"max":1,"mean":1,"std":0,"edges":[1],"counts":[1,0]}}}`))
	f.Add([]byte(`{"rows":1,"inputs":{"x":{"kind":"categorical","categories":[{"value":"a","count":1}],"other":0,"distinct":1,"unseen":0}}}`))
	f.Add([]byte(`{"rows":1,"inputs":{"x":{"kind":"array","elements":[{"kind":"numeric","edges":[],"counts":[1]}]}}}`))
	f.Add([]byte(`{"rows":1,"outputs":{"probabilities":{"kind":"probabilities","classes":{"a":{"kind":"numeric","edges":[0.5],"counts":[1,0]}}}}}`))
	f.Add([]byte(`{"rows":9223372036854775807,"inputs":{"x":{"kind":"numeric","edges":[1],"counts":[9223372036854775807,9223372036854775807]}}}`))
	s, err := bundle.ParseSignature([]byte(penguinSignature))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, of := range []*bundle.Signature{nil, s} {
			p, err := bundle.ParseProfile(data, of)
			if (p == nil) == (err == nil) || (err != nil && !fault.Is(err, fault.InvalidBundle)) {
				t.Fatalf("%+v, %v", p, err)
			}
			if p != nil && !json.Valid(data) {
				t.Fatalf("accepted: %s", data)
			}
		}
	})
}

func FuzzParseCoverage(f *testing.F) {
	f.Add([]byte(`{"rows":3,"inputs":{"x":{"missing":false,"bins":[2,20]}},"trees":{"trees":3,"leaves":8,"reached":8,"splits":7,"both_sides":6}}`))
	f.Add([]byte(`{"rows":9223372036854775807,"inputs":{"x":{"bins":[9223372036854775807,9223372036854775807]}}}`))
	f.Add([]byte(`{"rows":1,"inputs":{"x":{"categories":[1],"unseen":true}},"trees":{"leaves":-1}}`))
	s, err := bundle.ParseSignature([]byte(penguinSignature))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, of := range []*bundle.Signature{nil, s} {
			got, err := bundle.ParseCoverage(data, of, 1000)
			if (got == nil) == (err == nil) || (err != nil && !fault.Is(err, fault.InvalidBundle)) {
				t.Fatalf("%s, %v", got, err)
			}
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
