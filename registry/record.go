package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
)

// maxRecord is the largest record in bytes. A record must stay one small
// write, also on an object store; what is larger goes into a blob.
const maxRecord = 64 << 10

// Kind names what a record says happened.
type Kind string

// The kinds of format 1. A reader that meets another one must not guess.
const (
	KindVersionAdded Kind = "version-added"
	KindExamined     Kind = "examined"
	KindAlias        Kind = "alias"
	KindDeployment   Kind = "deployment"
	KindDeleted      Kind = "deleted"
)

// Record is one action in a model's log, as it is stored. Exactly the member
// that its kind names is set. Records are shared: do not change them.
type Record struct {
	Seq       int       `json:"seq"` // from 1, without gaps
	Kind      Kind      `json:"kind"`
	Model     string    `json:"model"`
	Prev      string    `json:"prev"` // digest of the whole record before, "" for the first
	Time      time.Time `json:"time"`
	Actor     string    `json:"actor"`
	RequestID string    `json:"request_id"`
	Nonce     string    `json:"nonce"` // tells two attempts of one request apart
	// Key is the one that the request brought, "" where it brought none, and
	// Request a digest of what it asked for.
	Key     string `json:"idempotency_key,omitempty"`
	Request string `json:"request,omitempty"`

	Version    *VersionAdded     `json:"version,omitempty"`
	Examined   *Examined         `json:"examined,omitempty"`
	Alias      *AliasSet         `json:"alias,omitempty"`
	Deployment *DeploymentRecord `json:"deployment,omitempty"`
	Deleted    *Deleted          `json:"deleted,omitempty"`

	digest string   // of the whole record's bytes
	names  []string // every digest that stands in it, in hex
}

// Digest is the SHA-256 of the stored bytes, which the next record carries.
func (r Record) Digest() string { return r.digest }

// VersionAdded is what a record of kind version-added says. The files are in
// the manifest, which is the blob that Digest names.
type VersionAdded struct {
	Version int    `json:"version"`
	Digest  string `json:"digest"` // of the manifest
	Size    int64  `json:"size"`   // bytes of all files, the manifest included
	Parity  Parity `json:"parity"`
	Report  string `json:"report"` // digest of the report's blob, or ""
	// With is what the verdict was found with: the engine, its version and the
	// processor, in words. Releases before it wrote none.
	With string `json:"with,omitempty"`
	// Loosened is, in words, what the answers were held to where that is less
	// than the defaults.
	Loosened string `json:"loosened,omitempty"`
}

// Examined is what a record of kind examined says: a later verdict.
type Examined struct {
	Version  int    `json:"version"`
	Parity   Parity `json:"parity"`
	Report   string `json:"report"`
	With     string `json:"with,omitempty"`
	Loosened string `json:"loosened,omitempty"`
}

// AliasSet is what a record of kind alias says. Version 0 removes the alias.
type AliasSet struct {
	Name     string `json:"name"`
	Version  int    `json:"version"`
	Expected *int   `json:"expected,omitempty"`
}

// Deleted is what a record of kind deleted says.
type Deleted struct {
	Version int    `json:"version"`
	Reason  string `json:"reason"`
}

// DeploymentRecord is what a record of kind deployment says. Other holds the
// members that this release does not know, so that a deployment copied by a
// rollback loses none of them.
type DeploymentRecord struct {
	knownDeployment
	Other map[string]json.RawMessage
}

type knownDeployment struct {
	wire.Traffic
	Reason   string `json:"reason"`
	Expected *int   `json:"expected,omitempty"`
}

// MarshalJSON writes the known members and the others beside them.
func (d DeploymentRecord) MarshalJSON() ([]byte, error) {
	known, err := json.Marshal(d.knownDeployment)
	if err != nil || len(d.Other) == 0 {
		return known, err
	}
	all := map[string]json.RawMessage{}
	for name, value := range d.Other {
		all[name] = value
	}
	if err := json.Unmarshal(known, &all); err != nil {
		return nil, err
	}
	return json.Marshal(all)
}

// UnmarshalJSON keeps the members that it does not know in Other.
func (d *DeploymentRecord) UnmarshalJSON(data []byte) error {
	var known knownDeployment
	if err := json.Unmarshal(data, &known); err != nil {
		return err
	}
	var other map[string]json.RawMessage
	if err := json.Unmarshal(data, &other); err != nil {
		return err
	}
	for _, name := range []string{"stable", "canary", "shadow", "isolation", "limits", "capture", "reason", "expected"} {
		delete(other, name)
	}
	*d = DeploymentRecord{known, other}
	return nil
}

// A stored record ends in sealHead, 64 hex digits and sealTail. The checksum
// is that of all bytes before sealHead, so that checking needs no JSON.
const (
	sealHead = `,"checksum":"sha256:`
	sealTail = `"}` + "\n"
	sealSize = len(sealHead) + 2*sha256.Size + len(sealTail)
)

// seal is the stored form of a record.
func seal(r *Record) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return nil, err
	}
	body := bytes.TrimSuffix(b.Bytes(), []byte("}\n"))
	sum := sha256.Sum256(body)
	data := append(body, sealHead...)
	data = hex.AppendEncode(data, sum[:])
	data = append(data, sealTail...)
	if len(data) > maxRecord {
		return nil, tooLarge(len(data))
	}
	return data, nil
}

// unseal reads a stored record. Its errors are damage, told in a few words.
func unseal(data []byte) (Record, error) {
	if len(data) > maxRecord {
		return Record{}, fmt.Errorf("it is larger than %d bytes", maxRecord)
	}
	cut := len(data) - sealSize
	if cut < 0 || !bytes.HasPrefix(data[cut:], []byte(sealHead)) || !bytes.HasSuffix(data, []byte(sealTail)) {
		return Record{}, errors.New("it does not end in a checksum")
	}
	sum := sha256.Sum256(data[:cut])
	if string(data[cut+len(sealHead):len(data)-len(sealTail)]) != hex.EncodeToString(sum[:]) {
		return Record{}, errors.New("its checksum does not match")
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, fmt.Errorf("it is not a record: %w", err)
	}
	r.digest, r.names = digestOf(data), digestsIn(data[:cut])
	return r, nil
}

// digestsIn finds every digest in a record, also in members that this release
// does not know: what they name is needed by somebody.
func digestsIn(data []byte) (names []string) {
	for {
		at := bytes.Index(data, []byte(digestPrefix))
		if at < 0 {
			return names
		}
		data = data[at+len(digestPrefix):]
		if end := 2 * sha256.Size; len(data) >= end && validHex(string(data[:end])) {
			names = append(names, string(data[:end]))
		}
	}
}

const digestPrefix = "sha256:"

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return digestPrefix + hex.EncodeToString(sum[:])
}
