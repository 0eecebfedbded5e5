package avro

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/big"
	"strconv"
)

// intCodec is int2, int4 (Avro int) or int8 and oid (Avro long).
func intCodec(schema *node, bits int) codec {
	return codec{
		schema: schema,
		append: func(dst, text []byte) ([]byte, error) {
			v, err := strconv.ParseInt(string(text), 10, bits)
			if err != nil {
				return dst, ErrSyntax
			}
			return appendLong(dst, v), nil
		},
		text:    func(dst []byte, in *cursor) []byte { return strconv.AppendInt(dst, in.long(), 10) },
		zero:    []byte{0},
		element: appendPoint,
	}
}

func appendPoint(dst []byte, point rune) []byte { return appendLong(dst, int64(point)) }

func int2Codec() codec {
	return intCodec(&node{kind: "int", connect: connect{typ: "int16"}}, 16)
}

// floatCodec is float4 or float8.
func floatCodec(bits int) codec {
	kind := "double"
	if bits == 32 {
		kind = "float"
	}
	return codec{
		schema: primitive(kind),
		append: func(dst, text []byte) ([]byte, error) {
			v, err := strconv.ParseFloat(string(text), bits)
			if err != nil {
				return dst, ErrSyntax
			}
			return appendFloat(dst, v, bits), nil
		},
		text: func(dst []byte, in *cursor) []byte {
			if bits == 32 {
				return appendFloatText(dst, float64(in.float()), 32)
			}
			return appendFloatText(dst, in.double(), 64)
		},
		zero:    make([]byte, bits/8),
		element: func(dst []byte, point rune) []byte { return appendFloat(dst, float64(point), bits) },
	}
}

func appendFloat(dst []byte, v float64, bits int) []byte {
	if bits == 32 {
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(v)))
	}
	if math.IsNaN(v) {
		return binary.LittleEndian.AppendUint64(dst, 0x7ff8000000000000) // Java's NaN
	}
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}

// appendFloatText prints as PostgreSQL does with extra_float_digits=3: the shortest
// digits that read back, positional while the exponent is small.
func appendFloatText(dst []byte, v float64, bits int) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(v, -1):
		return append(dst, "-Infinity"...)
	}
	digits := 15
	if bits == 32 {
		digits = 6
	}
	start := len(dst)
	dst = appendShortest(dst, v, bits)
	e := bytes.LastIndexByte(dst[start:], 'e')
	exponent, err := strconv.Atoi(string(dst[start+e+1:]))
	if err != nil || exponent < -4 || exponent >= digits {
		return dst
	}
	return strconv.AppendFloat(dst[:start], v, 'f', -1, bits)
}

// appendShortest prints the shortest digits strictly between the midpoints to the
// neighbouring floats, as PostgreSQL does. strconv may stand on a midpoint where the
// mantissa is even; only integers beyond the mantissa's size have one that short.
func appendShortest(dst []byte, v float64, bits int) []byte {
	start := len(dst)
	dst = strconv.AppendFloat(dst, v, 'e', -1, bits)
	mantissa := 53
	if bits == 32 {
		mantissa = 24
	}
	fraction, exponent := math.Frexp(math.Abs(v))
	if exponent <= mantissa || exponent > 140 {
		return dst
	}
	half := new(big.Int).Lsh(big.NewInt(1), uint(exponent-mantissa-1))
	exact := new(big.Int).Lsh(big.NewInt(int64(math.Ldexp(fraction, mantissa))), uint(exponent-mantissa))
	digits := bytes.IndexByte(bytes.ReplaceAll(bytes.TrimPrefix(dst[start:], []byte("-")), []byte("."), nil), 'e')
	for ; digits < 20 && onMidpoint(dst[start:], exact, half); digits++ {
		dst = strconv.AppendFloat(dst[:start], v, 'e', digits, bits)
	}
	return dst
}

func onMidpoint(text []byte, exact, half *big.Int) bool {
	printed, ok := new(big.Rat).SetString(string(bytes.TrimPrefix(text, []byte("-"))))
	if !ok || !printed.IsInt() {
		return false
	}
	return new(big.Int).Sub(printed.Num(), exact).CmpAbs(half) == 0
}

// pointCodec is point: coordinates and the same in well-known binary.
func pointCodec() codec {
	return codec{
		schema: pointSchema(),
		append: func(dst, text []byte) ([]byte, error) {
			comma := bytes.IndexByte(text, ',')
			if comma < 1 || text[0] != '(' || text[len(text)-1] != ')' {
				return dst, ErrSyntax
			}
			x, errX := strconv.ParseFloat(string(text[1:comma]), 64)
			y, errY := strconv.ParseFloat(string(text[comma+1:len(text)-1]), 64)
			if errX != nil || errY != nil {
				return dst, ErrSyntax
			}
			return appendPointRecord(dst, x, y), nil
		},
		text: func(dst []byte, in *cursor) []byte {
			x, y := in.double(), in.double()
			if in.long() != 0 { // wkb
				in.bytes()
			}
			if in.long() != 0 { // srid
				in.long()
			}
			dst = appendFloatText(append(dst, '('), x, 64)
			return append(appendFloatText(append(dst, ','), y, 64), ')')
		},
		zero: appendPointRecord(nil, 0, 0),
		element: func(dst []byte, point rune) []byte {
			return appendPointRecord(dst, float64(point), float64(point))
		},
	}
}

func appendPointRecord(dst []byte, x, y float64) []byte {
	dst = appendFloat(appendFloat(dst, x, 64), y, 64)
	dst = append(dst, 2, 42, 1, 1, 0, 0, 0) // present; 21 bytes; little-endian; type 1, point
	dst = appendFloat(appendFloat(dst, x, 64), y, 64)
	return append(dst, 0)
}
