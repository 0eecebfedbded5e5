package avro

import (
	"bytes"
	"math/big"
	"strconv"
)

// decimalCodec is numeric(precision, scale) as an unscaled two's complement number.
// It refuses what does not fit exactly: nothing is rounded or truncated.
func decimalCodec(precision, scale int) codec {
	schema := decimalSchema(precision, scale)
	schema.connect.parameters = append(schema.connect.parameters, parameter{"connect.decimal.precision", strconv.Itoa(precision)})
	return codec{
		schema: schema,
		append: func(dst, text []byte) ([]byte, error) {
			d, err := parseDecimal(text)
			if err != nil {
				return dst, err
			}
			if len(d.fraction) > scale {
				return dst, ErrScale
			}
			if len(d.whole)+scale > precision {
				return dst, ErrPrecision
			}
			return appendUnscaled(dst, d, scale), nil
		},
		text:        func(dst []byte, in *cursor) []byte { return appendDecimalText(dst, in.bytes(), scale) },
		zero:        appendBytes(nil, []byte{0}),
		unavailable: appendString(nil, placeholder),
	}
}

func decimalSchema(precision, scale int) *node {
	n := semantic("bytes", "org.apache.kafka.connect.data.Decimal", parameter{"scale", strconv.Itoa(scale)})
	n.logicalType, n.precision, n.scale = "decimal", precision, scale
	return n
}

// variableScaleCodec is numeric without scale: each value brings its own.
func variableScaleCodec() codec {
	return codec{
		schema: variableScaleSchema(),
		append: func(dst, text []byte) ([]byte, error) {
			d, err := parseDecimal(text)
			if err != nil {
				return dst, err
			}
			dst = appendLong(dst, int64(len(d.fraction)))
			return appendUnscaled(dst, d, len(d.fraction)), nil
		},
		text: func(dst []byte, in *cursor) []byte {
			scale := in.long()
			if scale < -maxScale || scale > maxScale {
				in.fail(errForm("a decimal's scale"))
				return dst
			}
			return appendDecimalText(dst, in.bytes(), int(scale))
		},
		zero:        append(appendLong(nil, 0), 2, 0),
		unavailable: appendString(appendLong(nil, 0), placeholder),
	}
}

// maxScale is PostgreSQL's bound on digits after the point.
const maxScale = 16383

// moneyScale is Debezium's money.fraction.digits.
const moneyScale = 2

// moneyCodec is money in a locale that prints dollars ($1,234.56); other locales'
// text is ambiguous and refused.
func moneyCodec() codec {
	schema := decimalSchema(64, moneyScale)
	schema.pgType = "money"
	return codec{
		schema: schema,
		append: func(dst, text []byte) ([]byte, error) {
			var digits [24]byte // an int64 with sign and point
			plain := digits[:0]
			rest, negative := bytes.CutPrefix(text, []byte("-"))
			rest, dollars := bytes.CutPrefix(rest, []byte("$"))
			if !dollars || len(rest) < 4 || len(rest) > 32 || rest[len(rest)-3] != '.' {
				return dst, ErrSyntax
			}
			if negative {
				plain = append(plain, '-')
			}
			for i, c := range rest {
				if c == ',' && (len(rest)-3-i)%4 == 0 {
					continue
				}
				plain = append(plain, c)
			}
			d, err := parseDecimal(plain)
			if err != nil || len(d.fraction) != moneyScale {
				return dst, ErrSyntax
			}
			return appendUnscaled(dst, d, moneyScale), nil
		},
		text:        func(dst []byte, in *cursor) []byte { return appendMoneyText(dst, in.bytes()) },
		zero:        appendBytes(nil, []byte{0}),
		unavailable: appendString(nil, placeholder),
	}
}

func appendMoneyText(dst, unscaled []byte) []byte {
	var buf [32]byte
	plain := appendDecimalText(buf[:0], unscaled, moneyScale)
	plain, negative := bytes.CutPrefix(plain, []byte("-"))
	if negative {
		dst = append(dst, '-')
	}
	dst = append(dst, '$')
	for i, c := range plain {
		if left := len(plain) - 3 - i; i > 0 && left > 0 && left%3 == 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, c)
	}
	return dst
}

// decimal is a parsed number: digits without leading zeros before the point.
type decimal struct {
	negative        bool
	whole, fraction []byte
}

func parseDecimal(text []byte) (decimal, error) {
	switch string(text) {
	case "NaN":
		return decimal{}, ErrNotANumber
	case "Infinity", "-Infinity":
		return decimal{}, ErrInfinity
	}
	var d decimal
	text, d.negative = bytes.CutPrefix(text, []byte("-"))
	var point bool
	d.whole, d.fraction, point = bytes.Cut(text, []byte("."))
	if len(d.whole) == 0 || point && len(d.fraction) == 0 || !allDigits(d.whole) || !allDigits(d.fraction) {
		return decimal{}, ErrSyntax
	}
	d.whole = bytes.TrimLeft(d.whole, "0")
	return d, nil
}

func allDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// smallDigits is how many decimal digits an int64 always holds.
const smallDigits = 18

// appendUnscaled writes d × 10^scale, scale being at least the length of its
// fraction, as Avro bytes.
func appendUnscaled(dst []byte, d decimal, scale int) []byte {
	if len(d.whole)+scale > smallDigits {
		return appendBig(dst, d, scale)
	}
	var v int64
	for _, c := range d.whole {
		v = v*10 + int64(c-'0')
	}
	for _, c := range d.fraction {
		v = v*10 + int64(c-'0')
	}
	for range scale - len(d.fraction) {
		v *= 10
	}
	if d.negative {
		v = -v
	}
	n := 1
	for n < 8 && v>>(8*n-1) != v>>63 {
		n++
	}
	dst = appendLong(dst, int64(n))
	for i := n - 1; i >= 0; i-- {
		dst = append(dst, byte(v>>(8*i)))
	}
	return dst
}

// appendBig is appendUnscaled for numbers beyond an int64; it allocates.
func appendBig(dst []byte, d decimal, scale int) []byte {
	digits := append(append(make([]byte, 0, len(d.whole)+scale), d.whole...), d.fraction...)
	for range scale - len(d.fraction) {
		digits = append(digits, '0')
	}
	v, _ := new(big.Int).SetString(string(digits), 10) // parseDecimal saw to it that these are digits
	return appendBytes(dst, twosComplement(v, d.negative))
}

// twosComplement is the shortest big-endian form of ±v.
func twosComplement(v *big.Int, negative bool) []byte {
	if !negative || v.Sign() == 0 {
		b := v.Bytes()
		if len(b) == 0 || b[0]&0x80 != 0 {
			b = append([]byte{0}, b...)
		}
		return b
	}
	n := new(big.Int).Sub(v, big.NewInt(1)).BitLen()/8 + 1
	v = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(8*n)), v)
	return v.FillBytes(make([]byte, n))
}

// appendDecimalText prints an unscaled two's complement number.
func appendDecimalText(dst, unscaled []byte, scale int) []byte {
	var buf [32]byte
	var digits []byte
	if len(unscaled) <= 8 {
		var v int64
		for i, c := range unscaled {
			if i == 0 {
				v = int64(int8(c))
			} else {
				v = v<<8 | int64(c)
			}
		}
		digits = strconv.AppendInt(buf[:0], v, 10)
	} else {
		v := new(big.Int).SetBytes(unscaled)
		if unscaled[0]&0x80 != 0 {
			v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(unscaled))))
		}
		digits = v.Append(buf[:0], 10)
	}
	digits, negative := bytes.CutPrefix(digits, []byte("-"))
	if negative {
		dst = append(dst, '-')
	}
	if scale <= 0 {
		dst = append(dst, digits...)
		if len(digits) == 1 && digits[0] == '0' {
			return dst
		}
		for range -scale {
			dst = append(dst, '0')
		}
		return dst
	}
	whole := len(digits) - scale
	if whole <= 0 {
		dst = append(dst, '0', '.')
		for range -whole {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	}
	dst = append(append(dst, digits[:whole]...), '.')
	return append(dst, digits[whole:]...)
}
