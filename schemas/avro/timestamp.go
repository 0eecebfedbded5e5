package avro

import (
	"bytes"
	"math"
)

// Debezium's infinite timestamps. In microseconds it writes the largest long; the
// smallest is its mirror image.
const (
	infiniteMillis         = 9223372036825200000
	negativeInfiniteMillis = -9223372036832400000
	infiniteMicros         = math.MaxInt64
	negativeInfiniteMicros = math.MinInt64
)

// timestampCodec is timestamp without time zone: milliseconds up to precision 3,
// else microseconds, which end in the year 294246 before PostgreSQL's do.
func timestampCodec(precision int) codec {
	unit, high, low := int64(1), int64(infiniteMicros), int64(negativeInfiniteMicros)
	schema := semantic("long", "io.debezium.time.MicroTimestamp")
	if precision <= millisPrecision {
		unit, high, low = 1000, infiniteMillis, negativeInfiniteMillis
		schema = semantic("long", "io.debezium.time.Timestamp")
	}
	return codec{
		schema: schema,
		append: func(dst, text []byte) ([]byte, error) {
			switch string(text) {
			case "infinity":
				return appendLong(dst, high), nil
			case "-infinity":
				return appendLong(dst, low), nil
			}
			days, micros, rest, ok := parseTimestamp(text)
			if !ok || len(rest) > 0 {
				return dst, ErrSyntax
			}
			if micros%unit != 0 {
				return dst, ErrScale
			}
			perDay := microsPerDay / unit
			if days >= math.MaxInt64/perDay || days <= math.MinInt64/perDay {
				return dst, ErrRange
			}
			return appendLong(dst, days*perDay+micros/unit), nil
		},
		text: func(dst []byte, in *cursor) []byte {
			switch v := in.long(); v {
			case high:
				return append(dst, "infinity"...)
			case low:
				return append(dst, "-infinity"...)
			default:
				perDay := microsPerDay / unit
				days := floorDiv(v, perDay)
				d := civil(days)
				dst = append(d.appendTo(dst), ' ')
				return d.appendEra(appendClock(dst, (v-days*perDay)*unit))
			}
		},
		zero:    []byte{0},
		element: appendPoint,
	}
}

// parseTimestamp reads YYYY-MM-DD HH:MM:SS[.ffffff]; rest is what follows the
// clock, the era excepted.
func parseTimestamp(text []byte) (days, micros int64, rest []byte, ok bool) {
	text, bc := bytes.CutSuffix(text, []byte(" BC"))
	d, rest, ok := parseDate(text, bc)
	if !ok || len(rest) == 0 || rest[0] != ' ' {
		return 0, 0, nil, false
	}
	micros, rest, ok = parseClock(rest[1:])
	return d.days(), micros, rest, ok
}

// zonedTimestampSize is the length of Debezium's form in the years 1 to 9999.
const zonedTimestampSize = len("2006-01-02T15:04:05.000000Z")

// zonedTimestampCodec is timestamp with time zone as Debezium's string in UTC. The
// pinned session prints UTC, so that the common form is copied, not parsed.
func zonedTimestampCodec() codec {
	c := textCodec(semantic("string", "io.debezium.time.ZonedTimestamp"))
	c.same = false
	c.append = appendZoned
	c.text = func(dst []byte, in *cursor) []byte {
		dst, ok := appendZonedText(dst, in.bytes())
		if !ok {
			in.fail(errForm("a timestamp with time zone"))
		}
		return dst
	}
	c.zero = appendString(nil, "1970-01-01T00:00:00.000000Z")
	return c
}

func appendZoned(dst, text []byte) ([]byte, error) {
	if plainZoned(text) {
		dst = appendLong(dst, int64(zonedTimestampSize))
		dst = append(append(dst, text[:10]...), 'T')
		dst = append(dst, text[11:19]...)
		fraction := text[19 : len(text)-3]
		dst = append(dst, fraction...)
		dst = append(dst, ".000000"[len(fraction):]...)
		return append(dst, 'Z'), nil
	}
	if string(text) == "infinity" || string(text) == "-infinity" {
		return appendBytes(dst, text), nil
	}
	days, micros, zone, ok := parseTimestamp(text)
	offset, okZone := parseOffset(zone)
	if !ok || !okZone {
		return dst, ErrSyntax
	}
	start := len(dst)
	dst = appendZonedISO(dst, days, micros-offset)
	return insertLength(dst, start), nil
}

// plainZoned: "YYYY-MM-DD HH:MM:SS[.f…]+00". Everything but the digits is checked;
// PostgreSQL prints nothing else there.
func plainZoned(text []byte) bool {
	n := len(text)
	return n >= 22 && n <= 29 && n != 23 && text[4] == '-' && text[7] == '-' && text[10] == ' ' && text[13] == ':' && text[16] == ':' &&
		(n == 22 || text[19] == '.') && text[n-3] == '+' && text[n-2] == '0' && text[n-1] == '0'
}

func appendZonedISO(dst []byte, days, micros int64) []byte {
	if carry := floorDiv(micros, microsPerDay); carry != 0 {
		days += carry
		micros -= carry * microsPerDay
	}
	dst = append(civil(days).appendISO(dst), 'T')
	dst = append(appendPadded(dst, micros/microsPerHour, 2), ':')
	dst = append(appendPadded(dst, micros/microsPerMinute%60, 2), ':')
	dst = append(appendPadded(dst, micros/microsPerSecond%60, 2), '.')
	return append(appendPadded(dst, micros%microsPerSecond, 6), 'Z')
}

// parseOffset reads +HH, +HH:MM or +HH:MM:SS, and Z.
func parseOffset(zone []byte) (micros int64, ok bool) {
	if string(zone) == "Z" {
		return 0, true
	}
	if len(zone) < 3 || len(zone)%3 != 0 || zone[0] != '+' && zone[0] != '-' {
		return 0, false
	}
	for i, unit := 0, int64(microsPerHour); i < len(zone); i, unit = i+3, unit/60 {
		v, okV := digits(zone[i+1 : i+3])
		if !okV || i > 0 && zone[i] != ':' || i > 6 {
			return 0, false
		}
		micros += v * unit
	}
	if zone[0] == '-' {
		micros = -micros
	}
	return micros, true
}

// appendZonedText turns an ISO timestamp, ours or any that Java prints, into
// PostgreSQL's text in UTC.
func appendZonedText(dst, iso []byte) (_ []byte, ok bool) {
	if len(iso) == zonedTimestampSize && iso[10] == 'T' && iso[19] == '.' && iso[26] == 'Z' && string(iso[:4]) != "0000" {
		dst = append(append(dst, iso[:10]...), ' ')
		dst = append(dst, iso[11:19]...)
		if string(iso[20:26]) != "000000" {
			dst = bytes.TrimRight(append(dst, iso[19:26]...), "0")
		}
		return append(dst, "+00"...), true
	}
	if string(iso) == "infinity" || string(iso) == "-infinity" {
		return append(dst, iso...), true
	}
	iso, negative := bytes.CutPrefix(iso, []byte("-"))
	iso = bytes.TrimPrefix(iso, []byte("+"))
	d, rest, ok := parseDate(iso, false)
	if !ok || len(rest) < 6 || rest[0] != 'T' {
		return dst, false
	}
	if negative {
		d.year = -d.year
	}
	micros, zone, ok := parseISOClock(rest[1:])
	offset, okZone := parseOffset(zone)
	if !ok || !okZone {
		return dst, false
	}
	micros -= offset
	carry := floorDiv(micros, microsPerDay)
	d = civil(d.days() + carry)
	dst = append(d.appendTo(dst), ' ')
	dst = append(appendClock(dst, micros-carry*microsPerDay), "+00"...)
	return d.appendEra(dst), true
}

// parseISOClock is parseClock where seconds may be left out.
func parseISOClock(text []byte) (micros int64, rest []byte, ok bool) {
	if len(text) >= 6 && text[5] != ':' {
		h, okH := digits(text[:2])
		m, okM := digits(text[3:5])
		return h*microsPerHour + m*microsPerMinute, text[5:], okH && okM && text[2] == ':'
	}
	return parseClock(text)
}
