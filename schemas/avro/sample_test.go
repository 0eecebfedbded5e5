package avro

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/linkedin/goavro/v2"
	"pgregory.net/rapid"

	"github.com/backstitch/backstitch/schemas"
)

// sample is a value in three forms that are made independently of the codecs: what
// PostgreSQL prints, and what goavro takes.
type sample struct {
	text   string
	native any
}

// kind is a PostgreSQL type, the branch that goavro calls it by, and random values.
type kind struct {
	name   string
	typ    schemas.TypeID
	branch string
	draw   func(*rapid.T) sample
}

func kinds() []kind {
	b := builtinType
	list := []kind{
		{"bool", b(16, -1), "boolean", func(t *rapid.T) sample {
			v := rapid.Bool().Draw(t, "bool")
			return sample{map[bool]string{true: "t", false: "f"}[v], v}
		}},
		{"int2", b(21, -1), "int", func(t *rapid.T) sample {
			v := rapid.Int16().Draw(t, "int2")
			return sample{strconv.Itoa(int(v)), int32(v)}
		}},
		{"int4", b(23, -1), "int", func(t *rapid.T) sample {
			v := rapid.Int32().Draw(t, "int4")
			return sample{strconv.Itoa(int(v)), v}
		}},
		{"int8", b(20, -1), "long", func(t *rapid.T) sample {
			v := rapid.Int64().Draw(t, "int8")
			return sample{strconv.FormatInt(v, 10), v}
		}},
		{"oid", b(26, -1), "long", func(t *rapid.T) sample {
			v := rapid.Uint32().Draw(t, "oid")
			return sample{strconv.FormatUint(uint64(v), 10), int64(v)}
		}},
		{"float8", b(701, -1), "double", func(t *rapid.T) sample {
			v := rapid.Float64().Draw(t, "float8")
			return sample{string(appendFloatText(nil, v, 64)), v}
		}},
		{"float4", b(700, -1), "float", func(t *rapid.T) sample {
			v := rapid.Float32().Draw(t, "float4")
			return sample{string(appendFloatText(nil, float64(v), 32)), v}
		}},
		{"text", b(25, -1), "string", drawText},
		{"varchar", b(1043, 24), "string", drawText},
		{"citext", namedType(30000, "public.citext"), "string", drawText},
		{"unknown", namedType(30001, "public.odd"), "string", drawText},
		{"uuid", b(2950, -1), "string", func(t *rapid.T) sample {
			h := hex.EncodeToString(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uuid"))
			s := h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
			return sample{s, s}
		}},
		{"enum", schemas.TypeID{OID: 30002, Mod: -1, Enum: []string{"OWNER", "ADMIN", "a, b"}}, "string", func(t *rapid.T) sample {
			s := rapid.SampledFrom([]string{"OWNER", "ADMIN", "a, b"}).Draw(t, "enum")
			return sample{s, s}
		}},
		{"bytea", b(17, -1), "bytes", func(t *rapid.T) sample {
			v := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "bytea")
			return sample{`\x` + hex.EncodeToString(v), v}
		}},
		{"bit1", b(1560, 1), "boolean", func(t *rapid.T) sample {
			v := rapid.Bool().Draw(t, "bit")
			return sample{map[bool]string{true: "1", false: "0"}[v], v}
		}},
		{"bit13", b(1560, 13), "bytes", func(t *rapid.T) sample {
			v := rapid.Uint16Range(0, 1<<13-1).Draw(t, "bits")
			le := []byte{byte(v), byte(v >> 8)}
			return sample{fmt.Sprintf("%013b", v), []byte(strings.TrimRight(string(le), "\x00"))}
		}},
		{"hstore", namedType(30003, "hstore"), "string", drawHstore},
		{"interval", b(1186, -1), "string", drawInterval},
		{"point", b(600, -1), "io.debezium.data.geometry.Point", drawPoint},
		{"money", b(790, -1), "bytes.decimal", drawMoney},
		{"numeric", b(1700, -1), "io.debezium.data.VariableScaleDecimal", drawNumeric},
		decimalKind("numeric_10_2", 10, 2), decimalKind("numeric_18_0", 18, 0), decimalKind("numeric_38_12", 38, 12),
	}
	return append(list, temporalKinds()...)
}

func drawText(t *rapid.T) sample {
	s := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "NULL", "null", `{}`, `a,b`, `"q"`, `\`, " x ", placeholder + "!"})).Draw(t, "text")
	s = strings.ReplaceAll(s, "\x00", "")
	return sample{s, s}
}

func drawHstore(t *rapid.T) sample {
	keys := rapid.SliceOfNDistinct(rapid.String(), 0, 3, rapid.ID[string]).Draw(t, "keys")
	var text, json []string
	for _, k := range keys {
		v := rapid.String().Draw(t, "value")
		hk, jk := hstoreQuote(k), jacksonQuote(k)
		if rapid.Bool().Draw(t, "null") {
			text, json = append(text, hk+"=>NULL"), append(json, jk+":null")
		} else {
			text, json = append(text, hk+"=>"+hstoreQuote(v)), append(json, jk+":"+jacksonQuote(v))
		}
	}
	return sample{strings.Join(text, ", "), "{" + strings.Join(json, ",") + "}"}
}

func hstoreQuote(s string) string {
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(s) + `"`
}

func jacksonQuote(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case r < 0x20:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return `"` + b.String() + `"`
}

func drawInterval(t *rapid.T) sample {
	part := rapid.Int64Range(-30, 30)
	v := interval{part.Draw(t, "years"), part.Draw(t, "months"), part.Draw(t, "days"), rapid.Int64Range(-1e12, 1e12).Draw(t, "micros")}
	micros := v.micros % microsPerMinute
	sign := ""
	if micros < 0 {
		sign, micros = "-", -micros
	}
	seconds := strconv.FormatInt(micros/1e6, 10)
	if f := micros % 1e6; f != 0 {
		seconds += "." + strings.TrimRight(fmt.Sprintf("%06d", f), "0")
	}
	return sample{string(v.appendTo(nil)), fmt.Sprintf("P%dY%dM%dDT%dH%dM%s%sS", v.years, v.months, v.days,
		v.micros/microsPerHour, v.micros/microsPerMinute%60, sign, seconds)}
}

func drawPoint(t *rapid.T) sample {
	x, y := rapid.Float64().Draw(t, "x"), rapid.Float64().Draw(t, "y")
	wkb := append([]byte{1, 1, 0, 0, 0}, appendFloat(appendFloat(nil, x, 64), y, 64)...)
	return sample{
		"(" + string(appendFloatText(nil, x, 64)) + "," + string(appendFloatText(nil, y, 64)) + ")",
		map[string]any{"x": x, "y": y, "wkb": goavro.Union("bytes", wkb), "srid": nil},
	}
}

func drawMoney(t *rapid.T) sample {
	cents := rapid.Int64().Draw(t, "cents")
	unscaled := big.NewInt(cents)
	digits := fmt.Sprintf("%03s", new(big.Int).Abs(unscaled).String())
	whole, fraction := digits[:len(digits)-2], digits[len(digits)-2:]
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	sign := ""
	if cents < 0 {
		sign = "-"
	}
	return sample{sign + "$" + whole + "." + fraction, new(big.Rat).SetFrac(unscaled, big.NewInt(100))}
}

func drawUnscaled(t *rapid.T, precision int) *big.Int {
	digits := rapid.StringMatching(`[0-9]{1,`+strconv.Itoa(precision)+`}`).Draw(t, "digits")
	v, _ := new(big.Int).SetString(digits, 10)
	if rapid.Bool().Draw(t, "negative") {
		v.Neg(v)
	}
	return v
}

func decimalText(v *big.Int, scale int) string {
	digits := new(big.Int).Abs(v).String()
	for len(digits) <= scale {
		digits = "0" + digits
	}
	if scale > 0 {
		digits = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	if v.Sign() < 0 {
		digits = "-" + digits
	}
	return digits
}

func decimalKind(name string, precision, scale int) kind {
	return kind{name, builtinType(1700, int32(precision<<16+scale+4)), "bytes.decimal", func(t *rapid.T) sample {
		v := drawUnscaled(t, precision)
		power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
		return sample{decimalText(v, scale), new(big.Rat).SetFrac(v, power)}
	}}
}

func drawNumeric(t *rapid.T) sample {
	v, scale := drawUnscaled(t, 40), rapid.IntRange(0, 20).Draw(t, "scale")
	n := 1
	for ; new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), uint(8*n-1))).BitLen() > 8*n || v.BitLen() > 8*n-1 && v.Sign() > 0 ||
		v.Cmp(new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), uint(8*n-1)))) < 0; n++ {
	}
	mod := new(big.Int).Mod(v, new(big.Int).Lsh(big.NewInt(1), uint(8*n)))
	return sample{decimalText(v, scale), map[string]any{"scale": int32(scale), "value": mod.FillBytes(make([]byte, n))}}
}

func temporalKinds() []kind {
	b := builtinType
	day := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	instant := func(t *rapid.T, unit time.Duration) time.Time {
		days := rapid.IntRange(-2440588+1, 2932896).Draw(t, "days") // 4713 BC to 9999
		return day.AddDate(0, 0, days).Add(time.Duration(rapid.Int64Range(0, int64(24*time.Hour/unit)-1).Draw(t, "of day")) * unit)
	}
	return []kind{
		{"date", b(1082, -1), "int", func(t *rapid.T) sample {
			at := instant(t, 24*time.Hour)
			return sample{era(at, "%s"), int32(at.Unix() / 86400)}
		}},
		{"time", b(1083, -1), "long", func(t *rapid.T) sample {
			at := instant(t, time.Microsecond)
			return sample{clock(at), at.Sub(at.Truncate(24 * time.Hour)).Microseconds()}
		}},
		{"time3", b(1083, 3), "int", func(t *rapid.T) sample {
			at := instant(t, time.Millisecond)
			return sample{clock(at), int32(at.Sub(at.Truncate(24 * time.Hour)).Milliseconds())}
		}},
		{"timestamp", b(1114, -1), "long", func(t *rapid.T) sample {
			at := instant(t, time.Microsecond)
			return sample{era(at, "%s "+clock(at)), at.UnixMicro()}
		}},
		{"timestamp3", b(1114, 3), "long", func(t *rapid.T) sample {
			at := instant(t, time.Millisecond)
			return sample{era(at, "%s "+clock(at)), at.UnixMilli()}
		}},
		{"timestamptz", b(1184, -1), "string", func(t *rapid.T) sample {
			at := instant(t, time.Microsecond)
			iso := fmt.Sprintf("%04d", at.Year())
			if at.Year() < 0 {
				iso = fmt.Sprintf("-%04d", -at.Year())
			}
			return sample{era(at, "%s "+clock(at)+"+00"), iso + at.Format("-01-02T15:04:05.000000Z")}
		}},
		{"timetz", b(1266, -1), "string", func(t *rapid.T) sample {
			at := instant(t, time.Microsecond)
			zone := rapid.SampledFrom([][2]string{{"+00", "Z"}, {"+02", "+02:00"}, {"-03:30", "-03:30"}, {"+05:45:10", "+05:45:10"}}).Draw(t, "zone")
			return sample{clock(at) + zone[0], clock(at) + zone[1]}
		}},
	}
}

func clock(at time.Time) string { return at.Format("15:04:05.999999") }

func era(at time.Time, format string) string {
	year, suffix := at.Year(), ""
	if year <= 0 {
		year, suffix = 1-year, " BC"
	}
	return fmt.Sprintf(format, fmt.Sprintf("%04d", year)+at.Format("-01-02")) + suffix
}

// arrayOf is the kind of one-dimensional arrays of another.
func arrayOf(k kind) kind {
	elem := k.typ
	return kind{k.name + "_array", schemas.TypeID{OID: 40000, Mod: -1, Elem: &elem}, "array", func(t *rapid.T) sample {
		n := rapid.IntRange(0, 4).Draw(t, "length")
		items, texts := make([]any, n), make([]string, n)
		for i := range items {
			if rapid.IntRange(0, 3).Draw(t, "null") == 0 {
				texts[i] = "NULL"
				continue
			}
			s := k.draw(t)
			items[i], texts[i] = goavro.Union(k.branch, s.native), arrayQuote(s.text)
		}
		return sample{"{" + strings.Join(texts, ",") + "}", items}
	}}
}

func arrayQuote(s string) string {
	if s != "" && !strings.EqualFold(s, "NULL") && !strings.ContainsAny(s, "{},\"\\ \t\n\r\v\f") {
		return s
	}
	return hstoreQuote(s)
}
