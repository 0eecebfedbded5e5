package avro

import (
	"bytes"
	"strconv"
)

// intervalCodec is interval as ISO 8601 with all six parts, each with its own sign
// (interval.handling.mode=string).
func intervalCodec() codec {
	c := textCodec(semantic("string", "io.debezium.time.Interval"))
	c.same = false
	c.append = func(dst, text []byte) ([]byte, error) {
		if string(text) == "infinity" || string(text) == "-infinity" { // PostgreSQL 17
			return appendBytes(dst, text), nil
		}
		v, ok := parseInterval(text)
		if !ok {
			return dst, ErrSyntax
		}
		start := len(dst)
		return insertLength(v.appendISO(dst), start), nil
	}
	c.text = func(dst []byte, in *cursor) []byte {
		text := in.bytes()
		if len(text) > 0 && text[0] != 'P' {
			return append(dst, text...)
		}
		v, ok := parseISOInterval(text)
		if !ok {
			in.fail(errForm("an interval"))
			return dst
		}
		return v.appendTo(dst)
	}
	c.zero = appendString(nil, "P0Y0M0DT0H0M0S")
	return c
}

// microDurationCodec reads Debezium's default form of interval; it is never written.
func microDurationCodec() codec {
	c := intCodec(semantic("long", "io.debezium.time.MicroDuration"), 64)
	c.text = func(dst []byte, in *cursor) []byte { return interval{micros: in.long()}.appendTo(dst) }
	return c
}

// interval has the parts that IntervalStyle=postgres prints.
type interval struct{ years, months, days, micros int64 }

// parseInterval reads "1 year 2 mons -3 days +04:05:06.789".
func parseInterval(text []byte) (v interval, ok bool) {
	for len(text) > 0 {
		var word, unit []byte
		word, text, _ = bytes.Cut(text, []byte(" "))
		if bytes.IndexByte(word, ':') >= 0 {
			v.micros, ok = parseSpan(word)
			return v, ok && len(text) == 0
		}
		n, err := strconv.ParseInt(string(word), 10, 64)
		if err != nil {
			return v, false
		}
		unit, text, _ = bytes.Cut(text, []byte(" "))
		switch string(bytes.TrimSuffix(unit, []byte("s"))) {
		case "year":
			v.years = n
		case "mon":
			v.months = n
		case "day":
			v.days = n
		default:
			return v, false
		}
		ok = true
	}
	return v, ok
}

// parseSpan reads a signed HH:MM:SS with any number of hours.
func parseSpan(word []byte) (micros int64, ok bool) {
	word, negative := bytes.CutPrefix(word, []byte("-"))
	word = bytes.TrimPrefix(word, []byte("+"))
	n := bytes.IndexByte(word, ':')
	if n < 2 || n > 10 {
		return 0, false
	}
	h, okH := digits(word[:n])
	micros, rest, ok := parseMinutes(word[n:])
	micros += h * microsPerHour
	if negative {
		micros = -micros
	}
	return micros, ok && okH && len(rest) == 0
}

func (v interval) appendISO(dst []byte) []byte {
	part := func(n int64, unit byte) { dst = append(strconv.AppendInt(dst, n, 10), unit) }
	dst = append(dst, 'P')
	part(v.years, 'Y')
	part(v.months, 'M')
	part(v.days, 'D')
	dst = append(dst, 'T')
	part(v.micros/microsPerHour, 'H')
	part(v.micros/microsPerMinute%60, 'M')
	micros := v.micros % microsPerMinute
	if micros < 0 {
		dst, micros = append(dst, '-'), -micros
	}
	dst = strconv.AppendInt(dst, micros/microsPerSecond, 10)
	return append(appendFraction(dst, micros%microsPerSecond), 'S')
}

func parseISOInterval(text []byte) (v interval, ok bool) {
	text, ok = bytes.CutPrefix(text, []byte("P"))
	clock := false
	for ok && len(text) > 0 {
		if text[0] == 'T' {
			clock, text = true, text[1:]
			continue
		}
		n := bytes.IndexFunc(text, func(r rune) bool { return r >= 'A' && r <= 'Z' })
		if n < 1 {
			return v, false
		}
		number, unit := text[:n], text[n]
		text = text[n+1:]
		number, negative := bytes.CutPrefix(number, []byte("-"))
		whole, fraction := number, []byte(nil)
		if i := bytes.IndexByte(number, '.'); i >= 0 {
			whole, fraction = number[:i], number[i:]
		}
		var parts, micros int64
		if parts, ok = digits(whole); !ok {
			return v, false
		}
		if micros, fraction, ok = parseFraction(fraction); len(fraction) > 0 {
			return v, false
		}
		if negative {
			parts, micros = -parts, -micros
		}
		v.add(unit, clock, parts, micros)
	}
	return v, ok
}

func (v *interval) add(unit byte, clock bool, n, micros int64) {
	switch {
	case unit == 'Y':
		v.years = n
	case unit == 'M' && !clock:
		v.months = n
	case unit == 'D':
		v.days = n
	case unit == 'H':
		v.micros += n * microsPerHour
	case unit == 'M':
		v.micros += n * microsPerMinute
	case unit == 'S':
		v.micros += n*microsPerSecond + micros
	}
}

// appendTo prints as IntervalStyle=postgres: a part has a plus sign when it is
// positive and the part before it negative.
func (v interval) appendTo(dst []byte) []byte {
	start, negative := len(dst), false
	part := func(n int64, unit string) {
		if n == 0 {
			return
		}
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		if negative && n > 0 {
			dst = append(dst, '+')
		}
		dst = append(append(strconv.AppendInt(dst, n, 10), ' '), unit...)
		if n != 1 {
			dst = append(dst, 's')
		}
		negative = n < 0
	}
	part(v.years, "year")
	part(v.months, "mon")
	part(v.days, "day")
	if v.micros == 0 && len(dst) > start {
		return dst
	}
	if len(dst) > start {
		dst = append(dst, ' ')
	}
	micros := v.micros
	switch {
	case micros < 0:
		dst, micros = append(dst, '-'), -micros
	case negative:
		dst = append(dst, '+')
	}
	return appendClock(dst, micros)
}
