package verify

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// normal writes a JSON value so that two values are the same text if they mean the
// same: names sorted, numbers without a form of their own.
func normal(v any) string {
	var b strings.Builder
	write(&b, v)
	return b.String()
}

func write(b *strings.Builder, v any) {
	switch t := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(t))
		for name := range t {
			names = append(names, name)
		}
		slices.Sort(names)
		b.WriteByte('{')
		for _, name := range names {
			b.WriteString(strconv.Quote(name) + ":")
			write(b, t[name])
			b.WriteByte(',')
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for _, e := range t {
			write(b, e)
			b.WriteByte(',')
		}
		b.WriteByte(']')
	case json.Number:
		b.WriteString(digits(t.String()))
	case string:
		b.WriteString(strconv.Quote(t))
	case bool:
		b.WriteString(strconv.FormatBool(t))
	default: // null; nothing else comes out of JSON
		b.WriteString("null")
	}
}

// digits is a number as its digits and the power of ten behind them: 1.50e2 and 150
// are both 15e1. No exponent makes it large.
func digits(n string) string {
	rest, minus := strings.CutPrefix(n, "-")
	mantissa, power, _ := strings.Cut(strings.ToLower(rest), "e")
	exponent, err := strconv.Atoi("0" + strings.TrimPrefix(power, "+"))
	if negative, is := strings.CutPrefix(power, "-"); is {
		exponent, err = strconv.Atoi("-0" + negative)
	}
	if err != nil { // no number that anybody writes: compared as it stands
		return n
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	exponent -= len(fraction)
	all := strings.TrimLeft(whole+fraction, "0")
	short := strings.TrimRight(all, "0")
	if short == "" {
		return "0"
	}
	exponent += len(all) - len(short)
	if minus {
		short = "-" + short
	}
	return short + "e" + strconv.Itoa(exponent)
}

// text is a column's value as text: "" for NULL.
func text(v any) string {
	switch t := v.(type) {
	case string:
		return t
	case json.Number:
		return t.String()
	}
	return ""
}

// set is a list of text without order and repetition. Stytch keeps its lists so.
func set(v any) []string {
	out := []string{}
	switch t := v.(type) {
	case []string:
		out = slices.Clone(t)
	case []any:
		for _, e := range t {
			out = append(out, text(e))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
