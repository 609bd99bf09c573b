package registry

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
)

func sample() *Record {
	six := 6
	return &Record{
		Seq: 7, Kind: KindDeployment, Model: "iris", Prev: "sha256:" + strings.Repeat("0", 64),
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Actor: "ada <a&b>", RequestID: "r", Nonce: "n",
		Key: "k", Request: "r",
		Deployment: &DeploymentRecord{
			knownDeployment: knownDeployment{
				Traffic: wire.Traffic{
					Stable: 3, Canary: &wire.Canary{Version: 4, Steps: []int{1, 50}, Step: 1}, Shadow: 5, Isolation: "process",
					Limits: &wire.Limits{MinRequests: &six}, Capture: &wire.Capture{Share: 0.1, Redact: []string{"name"}},
				},
				Reason: "better", Expected: &six,
			},
			Other: map[string]json.RawMessage{"mirror": json.RawMessage(`{"version":4,"percent":5}`)},
		},
	}
}

func TestRecordComesBackAsItWas(t *testing.T) {
	data, err := seal(sample())
	if err != nil {
		t.Fatal(err)
	}
	got, err := unseal(data)
	if err != nil {
		t.Fatal(err)
	}
	want := *sample()
	want.digest, want.names = digestOf(data), []string{want.Prev[len(digestPrefix):]}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	var plain struct{ Checksum string }
	if err := json.Unmarshal(data, &plain); err != nil || plain.Checksum != digestOf(data[:len(data)-sealSize]) {
		t.Errorf("checksum %q (%v) is not that of the bytes before it", plain.Checksum, err)
	}
}

func TestEveryBitOfARecordCounts(t *testing.T) {
	data, err := seal(sample())
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(data) * 8 {
		data[bit/8] ^= 1 << (bit % 8)
		if _, err := unseal(data); err == nil {
			t.Fatalf("bit %d of %q flipped and not noticed", bit, data)
		}
		data[bit/8] ^= 1 << (bit % 8)
	}
	for cut := range len(data) {
		if _, err := unseal(data[:cut]); err == nil {
			t.Fatalf("cut to %d bytes and not noticed", cut)
		}
	}
	if _, err := unseal(append(data, ' ')); err == nil {
		t.Error("a trailing byte was not noticed")
	}
}

func TestUnknownMembersAreIgnored(t *testing.T) {
	data, err := sealJSON(`{"seq":1,"kind":"version-added","model":"iris","prev":"","time":"2026-01-02T03:04:05Z",` +
		`"actor":"a","request_id":"r","nonce":"n","colour":"red","version":{"version":1,"digest":"sha256:` +
		strings.Repeat("a", 64) + `","size":1,"parity":"proven","report":"","weight":3}}`)
	if err != nil {
		t.Fatal(err)
	}
	r, err := unseal(data)
	if err != nil {
		t.Fatal(err)
	}
	st, bad := fold("iris", []Record{r})
	if bad != nil || st.Versions[0].Parity != ParityProven {
		t.Errorf("%+v %v", st, bad)
	}
}

func TestRecordTooLargeIsRefused(t *testing.T) {
	r := sample()
	r.Deployment.Reason = strings.Repeat("x", maxRecord)
	_, err := seal(r)
	wantFault(t, err, fault.InvalidRequest)
	if _, err := unseal([]byte(strings.Repeat(" ", maxRecord+1))); err == nil {
		t.Error("a record over the limit was read")
	}
}

// sealJSON seals what another program might have written.
func sealJSON(text string) ([]byte, error) {
	body := strings.TrimSuffix(text, "}")
	return []byte(body + sealHead + hexSum(body) + sealTail), nil
}
