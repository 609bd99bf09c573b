package tensor

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/fault"
)

// vector is one line of testdata/vectors/numbers.tsv.gz: what numpy makes of a
// JSON number, as the bits of the value in hexadecimal, or why it does not fit.
type vector struct{ literal, want string }

// readVectors reads the committed file, or the one that TENON_NUMBERS names:
// the Python tests write a million lines and run this test on them.
func readVectors(t *testing.T) map[string][]vector {
	t.Helper()
	path := os.Getenv("TENON_NUMBERS")
	if path == "" {
		path = filepath.Join("..", "..", "testdata", "vectors", "numbers.tsv.gz")
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	byType := map[string][]vector{}
	lines := bufio.NewScanner(unzipped)
	for lines.Scan() {
		part := strings.Split(lines.Text(), "\t")
		if len(part) != 3 {
			t.Fatalf("%q has %d fields", lines.Text(), len(part))
		}
		byType[part[0]] = append(byType[part[0]], vector{part[1], part[2]})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return byType
}

// TestNumbersAreNumpys reads every number through the decoder that requests
// take: those that fit in large bodies, the others one by one.
func TestNumbersAreNumpys(t *testing.T) {
	vectors, n := readVectors(t), 0
	for _, typ := range []Type{Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64, Float16, Float32, Float64} {
		l := (&Layout{
			Buffers: []Buffer{{Name: "x", Type: typ, Width: 1}},
			Columns: []Column{{Name: "x", Type: typ}},
		}).Seal()
		var fitting []vector
		for _, v := range vectors[typ.String()] {
			n++
			if v.want != findRange && v.want != "fraction" {
				fitting = append(fitting, v)
				continue
			}
			code := map[string]string{"range": findRange, "fraction": findType}[v.want]
			_, err := decode(t, l, "inputs", `{"x":[`+v.literal+`]}`)
			if f := fault.As(err); f == nil || len(f.Fields) != 1 || f.Fields[0].Code != code {
				t.Errorf("%.60s as %s: %v, want %s", v.literal, typ, err, code)
			}
		}
		checkFitting(t, l, typ, fitting)
	}
	if n < 19_000 {
		t.Errorf("only %d numbers", n)
	}
	t.Logf("%d numbers", n)
}

func checkFitting(t *testing.T, l *Layout, typ Type, fitting []vector) {
	t.Helper()
	literals := make([]string, len(fitting))
	for i, v := range fitting {
		literals[i] = v.literal
	}
	f, err := decode(t, l, "inputs", `{"x":[`+strings.Join(literals, ",")+`]}`)
	if err != nil {
		t.Errorf("%s: %v", typ, err)
		return
	}
	for i, v := range fitting {
		if got := hexOf(f.Feeds()[0], i); got != v.want {
			t.Errorf("%.60s as %s: %s, numpy has %s", v.literal, typ, got, v.want)
		}
	}
}

// hexOf is element i, most significant byte first.
func hexOf(x *Tensor, i int) string {
	size := x.Type.Size()
	var v big.Int
	for k := size - 1; k >= 0; k-- {
		v.Lsh(&v, 8).Or(&v, big.NewInt(int64(x.Data[i*size+k])))
	}
	return fmt.Sprintf("%0*x", 2*size, &v)
}
