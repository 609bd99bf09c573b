package tensor

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"
)

func TestIntegersAreExact(t *testing.T) {
	tests := []struct {
		literal string
		typ     Type
		want    int64
		err     error
	}{
		{"0", Int8, 0, nil},
		{"-0", Uint8, 0, nil},
		{"-0.0", Uint8, 0, nil},
		{"127", Int8, 127, nil},
		{"128", Int8, 0, errRange},
		{"-128", Int8, -128, nil},
		{"-129", Int8, 0, errRange},
		{"255", Uint8, 255, nil},
		{"256", Uint8, 0, errRange},
		{"-1", Uint8, 0, errRange},
		{"9007199254740993", Int64, 9007199254740993, nil},
		{"9223372036854775807", Int64, math.MaxInt64, nil},
		{"9223372036854775808", Int64, 0, errRange},
		{"-9223372036854775808", Int64, math.MinInt64, nil},
		{"-9223372036854775809", Int64, 0, errRange},
		{"18446744073709551615", Uint64, -1, nil},
		{"18446744073709551616", Uint64, 0, errRange},
		{"5.0", Int64, 5, nil},
		{"1e3", Int64, 1000, nil},
		{"1.5e1", Int64, 15, nil},
		{"1200e-2", Int64, 12, nil},
		{"5.5", Int64, 0, errFraction},
		{"1e-1", Int64, 0, errFraction},
		{"0e99999999999", Int64, 0, nil},
		{"1e99999999999", Int64, 0, errRange},
		{"1e-99999999999", Int64, 0, errFraction},
		{"0.0000001e7", Int64, 1, nil},
		{"100000000000000000000000e-23", Int64, 1, nil},
		{"1" + strings.Repeat("0", 100000) + "e-100000", Int64, 1, nil},
	}
	for _, test := range tests {
		negative, magnitude, err := parseInteger([]byte(test.literal))
		var bits uint64
		if err == nil {
			bits, err = inRange(test.typ, negative, magnitude)
		}
		if !errors.Is(err, test.err) || err == nil && int64(bits) != test.want {
			t.Errorf("%.30s as %s: got %d, %v; want %d, %v", test.literal, test.typ, int64(bits), err, test.want, test.err)
		}
	}
}

// FuzzInteger compares with arbitrary-precision arithmetic.
func FuzzInteger(f *testing.F) {
	f.Add("9007199254740993")
	f.Add("-1.50e1")
	f.Add("12e-1")
	f.Fuzz(func(t *testing.T, literal string) {
		s := NewScanner([]byte(literal))
		number, err := s.Number()
		if err != nil || s.End() != nil || len(literal) > 60 {
			return
		}
		if e := strings.IndexAny(string(number), "eE"); e >= 0 {
			if x, err := strconv.Atoi(string(number[e+1:])); err != nil || x > 400 || x < -400 {
				return // big.Rat would take minutes; the table has such cases
			}
		}
		want, _ := new(big.Rat).SetString(string(number))
		negative, magnitude, err := parseInteger(number)
		var bits uint64
		if err == nil {
			bits, err = inRange(Int64, negative, magnitude)
		}
		fits := want.IsInt() && want.Num().IsInt64()
		if fits != (err == nil) || fits && int64(bits) != want.Num().Int64() {
			t.Fatalf("%s: got %d, %v", literal, int64(bits), err)
		}
	})
}

// TestFloat16IsExact walks all halves there and back, and the midpoints
// between neighbours, which must round to the even one.
func TestFloat16IsExact(t *testing.T) {
	for bits := range uint32(1 << 16) {
		v := Float16Value(uint16(bits))
		if math.IsNaN(v) {
			if got := Float16Bits(v); !math.IsNaN(Float16Value(got)) {
				t.Fatalf("NaN %#04x became %#04x", bits, got)
			}
			continue
		}
		if got := Float16Bits(v); got != uint16(bits) {
			t.Fatalf("%#04x is %v, which became %#04x", bits, v, got)
		}
		next := Float16Value(uint16(bits + 1))
		if math.IsNaN(next) || math.IsInf(next, 0) || math.IsInf(v, 0) || bits&0x7fff == 0x7fff {
			continue
		}
		even := uint16(bits + bits&1)
		if got := Float16Bits((v + next) / 2); got != even {
			t.Fatalf("the middle of %#04x and its neighbour became %#04x, want %#04x", bits, got, even)
		}
	}
	for v, want := range map[float64]uint16{65519.99: 0x7bff, 65520: 0x7c00, -1e10: 0xfc00, 1e-30: 0} {
		if got := Float16Bits(v); got != want {
			t.Errorf("%v became %#04x, want %#04x", v, got, want)
		}
	}
}

func TestFloatsReadBackAsTheyWere(t *testing.T) {
	for _, v := range []float64{0, math.Copysign(0, -1), 0.1, 1e-7, 123456789.123, 1e21, math.MaxFloat64, math.SmallestNonzeroFloat64, 1.0 / 3} {
		got, err := strconv.ParseFloat(string(AppendFloat(nil, v, 64)), 64)
		if err != nil || math.Float64bits(got) != math.Float64bits(v) {
			t.Errorf("%v came back as %v, %v", v, got, err)
		}
		single := float32(v)
		if math.IsInf(float64(single), 0) {
			continue
		}
		back, err := strconv.ParseFloat(string(AppendFloat(nil, float64(single), 32)), 32)
		if err != nil || math.Float32bits(float32(back)) != math.Float32bits(single) {
			t.Errorf("float32 %v came back as %v, %v", single, back, err)
		}
	}
}
