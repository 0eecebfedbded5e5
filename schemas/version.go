package schemas

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Version is the place of a change in the source's history. Versions are
// compared field by field, the epoch first: a later incarnation of the source
// beats any LSN. Per key, versions in a topic never decrease (invariant 3).
//
// The commit LSN is BEGIN's FinalLSN, known from a transaction's first row on
// (hazard S1). The change LSN is XLogData's WALStart, and N counts the rows that
// share it. A backfill row read at consistent point C has {Epoch, C, 0, 0}: C
// contains exactly the commits below it.
type Version struct {
	Epoch  uint32
	Commit LSN
	Change LSN
	N      uint32
}

// EndOf is the version of a checkpoint that ends a source transaction: resume
// skips that whole commit, whatever was decoded from it (hazard S2).
func EndOf(epoch uint32, commit LSN) Version {
	return Version{Epoch: epoch, Commit: commit, Change: math.MaxUint64, N: math.MaxUint32}
}

// Compare orders two versions: -1, 0 or +1.
func (v Version) Compare(o Version) int {
	return cmp.Or(
		cmp.Compare(v.Epoch, o.Epoch),
		cmp.Compare(v.Commit, o.Commit),
		cmp.Compare(v.Change, o.Change),
		cmp.Compare(v.N, o.N),
	)
}

// String is the form that travels in the record header backstitch.version:
// four fixed-width hexadecimal numbers, so that text order is version order.
func (v Version) String() string {
	return string(v.Append(make([]byte, 0, 51)))
}

// Append adds the text form to dst without allocating.
func (v Version) Append(dst []byte) []byte {
	dst = appendHex(dst, uint64(v.Epoch), 8)
	dst = append(dst, '-')
	dst = appendHex(dst, uint64(v.Commit), 16)
	dst = append(dst, '-')
	dst = appendHex(dst, uint64(v.Change), 16)
	dst = append(dst, '-')
	return appendHex(dst, uint64(v.N), 8)
}

func appendHex(dst []byte, n uint64, width int) []byte {
	const digits = "0123456789abcdef"
	for shift := 4 * (width - 1); shift >= 0; shift -= 4 {
		dst = append(dst, digits[n>>shift&0xf])
	}
	return dst
}

// ParseVersion reads the text form.
func ParseVersion(s string) (Version, error) {
	parts := strings.Split(s, "-")
	if len(parts) != 4 {
		return Version{}, fmt.Errorf("parse version %q: want epoch-commit-change-n in hexadecimal", s)
	}
	var n [4]uint64
	for i, bits := range [4]int{32, 64, 64, 32} {
		var err error
		if n[i], err = strconv.ParseUint(parts[i], 16, bits); err != nil {
			return Version{}, fmt.Errorf("parse version %q: %w", s, err)
		}
	}
	return Version{Epoch: uint32(n[0]), Commit: LSN(n[1]), Change: LSN(n[2]), N: uint32(n[3])}, nil
}

// MarshalText and UnmarshalText let a version stand in JSON as its text form.
func (v Version) MarshalText() ([]byte, error) { return v.Append(nil), nil }

// UnmarshalText reads the text form.
func (v *Version) UnmarshalText(b []byte) error {
	p, err := ParseVersion(string(b))
	if err != nil {
		return err
	}
	*v = p
	return nil
}
