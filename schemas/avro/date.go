package avro

import (
	"bytes"
	"strconv"
)

// Debezium's infinite dates, as days.
const (
	infiniteDate         = 2146033979
	negativeInfiniteDate = 2146033980
)

func dateCodec() codec {
	return codec{
		schema: semantic("int", "io.debezium.time.Date"),
		append: func(dst, text []byte) ([]byte, error) {
			switch string(text) {
			case "infinity":
				return appendLong(dst, infiniteDate), nil
			case "-infinity":
				return appendLong(dst, negativeInfiniteDate), nil
			}
			text, bc := bytes.CutSuffix(text, []byte(" BC"))
			d, rest, ok := parseDate(text, bc)
			if !ok || len(rest) > 0 {
				return dst, ErrSyntax
			}
			return appendLong(dst, d.days()), nil
		},
		text: func(dst []byte, in *cursor) []byte {
			switch v := in.long(); v {
			case infiniteDate:
				return append(dst, "infinity"...)
			case negativeInfiniteDate:
				return append(dst, "-infinity"...)
			default:
				d := civil(v)
				return d.appendEra(d.appendTo(dst))
			}
		},
		zero:    []byte{0},
		element: appendPoint,
	}
}

// date is a day of the proleptic Gregorian calendar; year 0 is 1 BC.
type date struct{ year, month, day int64 }

// parseDate reads YYYY-MM-DD with four or more digits of the year.
func parseDate(text []byte, bc bool) (d date, rest []byte, ok bool) {
	n := bytes.IndexByte(text, '-')
	if n < 4 || n > 7 || len(text) < n+6 || text[n+3] != '-' {
		return d, nil, false
	}
	y, okY := digits(text[:n])
	m, okM := digits(text[n+1 : n+3])
	day, okD := digits(text[n+4 : n+6])
	if bc {
		y = 1 - y
	}
	return date{y, m, day}, text[n+6:], okY && okM && okD && m >= 1 && m <= 12 && day >= 1 && day <= 31
}

func digits(b []byte) (v int64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	return v, len(b) > 0
}

// days is the number of days since 1970-01-01. Years are counted from March, so
// that the leap day is the last of a year.
func (d date) days() int64 {
	y, m := d.year, d.month
	if m <= 2 {
		y--
		m += 12
	}
	era := floorDiv(y, 400)
	ofEra := y - era*400
	ofYear := (153*(m-3)+2)/5 + d.day - 1
	return era*146097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719468
}

func civil(days int64) date {
	days += 719468
	era := floorDiv(days, 146097)
	ofEra := days - era*146097
	yearOfEra := (ofEra - ofEra/1460 + ofEra/36524 - ofEra/146096) / 365
	ofYear := ofEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	m := (5*ofYear + 2) / 153
	d := date{year: yearOfEra + era*400, month: m + 3, day: ofYear - (153*m+2)/5 + 1}
	if d.month > 12 {
		d.month -= 12
		d.year++
	}
	return d
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// appendTo prints the date without its era, as PostgreSQL's ISO style does.
func (d date) appendTo(dst []byte) []byte {
	y := d.year
	if y <= 0 {
		y = 1 - y
	}
	dst = append(appendPadded(dst, y, 4), '-')
	dst = append(appendPadded(dst, d.month, 2), '-')
	return appendPadded(dst, d.day, 2)
}

func (d date) appendEra(dst []byte) []byte {
	if d.year <= 0 {
		return append(dst, " BC"...)
	}
	return dst
}

// appendISO prints the date as Java's ISO formats do: a signed year where it is
// not one of 0 to 9999.
func (d date) appendISO(dst []byte) []byte {
	y := d.year
	switch {
	case y < 0:
		dst, y = append(dst, '-'), -y
	case y > 9999:
		dst = append(dst, '+')
	}
	dst = append(appendPadded(dst, y, 4), '-')
	dst = append(appendPadded(dst, d.month, 2), '-')
	return appendPadded(dst, d.day, 2)
}

func appendPadded(dst []byte, v int64, width int) []byte {
	var buf [20]byte
	s := strconv.AppendInt(buf[:0], v, 10)
	for range width - len(s) {
		dst = append(dst, '0')
	}
	return append(dst, s...)
}
