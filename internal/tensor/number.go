package tensor

import (
	"errors"
	"math"
	"strconv"
)

// The ways a number can fail to fit; decoders turn them into sentences.
var (
	errRange    = errors.New("out of range")
	errFraction = errors.New("not a whole number")
)

// bounds are the least and greatest values of the integer types. Unsigned
// maxima need uint64, so the two sides have different types.
var bounds = map[Type]struct {
	min int64
	max uint64
}{
	Int8: {math.MinInt8, math.MaxInt8}, Int16: {math.MinInt16, math.MaxInt16},
	Int32: {math.MinInt32, math.MaxInt32}, Int64: {math.MinInt64, math.MaxInt64},
	Uint8: {0, math.MaxUint8}, Uint16: {0, math.MaxUint16},
	Uint32: {0, math.MaxUint32}, Uint64: {0, math.MaxUint64},
}

// parseFloat reads a JSON number as numpy reads a decimal: the nearest float64.
// Beyond the largest finite float64 it is out of range; below the least it is
// zero, as in Python.
func parseFloat(literal []byte) (float64, error) {
	v, err := strconv.ParseFloat(text(literal), 64)
	if err != nil {
		return 0, errRange
	}
	return v, nil
}

// parseInteger reads a JSON number exactly, without passing through float64,
// and returns its sign and magnitude. 5.0 and 1e3 are whole numbers, 5.5 is not.
func parseInteger(literal []byte) (negative bool, magnitude uint64, err error) {
	digits := literal
	if digits[0] == '-' {
		negative, digits = true, digits[1:]
	}
	for i, c := range digits {
		d := uint64(c - '0')
		if d > 9 || magnitude > (math.MaxUint64-d)/10 {
			magnitude, err = parseScaled(digits, i+wholeDigits(digits[i:]))
			break
		}
		magnitude = magnitude*10 + d
	}
	return negative && magnitude > 0, magnitude, err
}

// wholeDigits returns how many digits the text begins with.
func wholeDigits(literal []byte) int {
	for i, c := range literal {
		if c-'0' > 9 {
			return i
		}
	}
	return len(literal)
}

// parseScaled reads digits with a point or an exponent, or too many digits for
// a uint64 unless an exponent takes them back; whole is the length of the
// integer part.
func parseScaled(digits []byte, whole int) (uint64, error) {
	mantissa, exponent := digits, 0
	for i := whole; i < len(digits); i++ {
		if digits[i]|0x20 == 'e' {
			mantissa = digits[:i]
			exponent = clampedInt(digits[i+1:])
			break
		}
	}
	fraction := mantissa[whole:]
	if len(fraction) > 0 {
		fraction = fraction[1:] // the point
	}
	point := whole + exponent // the decimal point's place among all digits
	return shift(mantissa[:whole], fraction, point)
}

// shift reads the digits of whole then fraction, with the decimal point at the
// given place among them.
func shift(whole, fraction []byte, point int) (uint64, error) {
	n := len(whole) + len(fraction)
	digit := func(i int) uint64 {
		switch {
		case i >= n:
			return 0
		case i < len(whole):
			return uint64(whole[i] - '0')
		default:
			return uint64(fraction[i-len(whole)] - '0')
		}
	}
	for i := max(point, 0); i < n; i++ {
		if digit(i) != 0 {
			return 0, errFraction
		}
	}
	var v uint64
	for i := 0; i < point && (i < n || v != 0); i++ {
		d := digit(i)
		if v > (math.MaxUint64-d)/10 {
			return 0, errRange
		}
		v = v*10 + d
	}
	return v, nil
}

// clampedInt reads an exponent; beyond a million it makes no difference.
func clampedInt(literal []byte) int {
	v, err := strconv.Atoi(text(literal))
	if err != nil || v > 1e6 || v < -1e6 {
		if literal[0] == '-' {
			return -1e6
		}
		return 1e6
	}
	return v
}

// inRange returns the integer as two's complement bits, or an error where it
// is beyond t.
func inRange(t Type, negative bool, magnitude uint64) (uint64, error) {
	b := bounds[t]
	if negative {
		if magnitude > -uint64(b.min) {
			return 0, errRange
		}
		return -magnitude, nil
	}
	if magnitude > b.max {
		return 0, errRange
	}
	return magnitude, nil
}

// Float16Bits rounds to the nearest half-precision number, ties to even, as
// numpy casts float64 to float16. Beyond the range it is infinite.
func Float16Bits(v float64) uint16 {
	bits := math.Float64bits(v)
	sign := uint16(bits >> 48 & 0x8000)
	switch abs := math.Abs(v); {
	case v != v:
		return sign | 0x7e00
	case abs >= 65520: // halfway between the largest half and the next step
		return sign | 0x7c00
	case abs < 0x1p-14: // subnormal: a multiple of 2^-24
		return sign | uint16(math.RoundToEven(abs*0x1p24))
	default:
		exponent := int(bits>>52&0x7ff) - 1023
		scaled := math.RoundToEven(math.Ldexp(abs, 10-exponent)) // 1024 to 2048
		return sign | (uint16(exponent+15)<<10 + uint16(scaled) - 1024)
	}
}

// Float16Value returns the number that half-precision bits stand for.
func Float16Value(bits uint16) float64 {
	sign := 1.0
	if bits&0x8000 != 0 {
		sign = -1
	}
	exponent, fraction := int(bits>>10&0x1f), float64(bits&0x3ff)
	switch {
	case exponent == 0x1f && fraction != 0:
		return math.NaN()
	case exponent == 0x1f:
		return math.Inf(int(sign))
	case exponent == 0:
		return sign * fraction * 0x1p-24
	default:
		return sign * math.Ldexp(1+fraction/1024, exponent-15)
	}
}
