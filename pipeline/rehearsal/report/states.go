package report

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/internal/redact"
)

// The states of a rehearsal stand in a file beside the report, so that the next one can
// say entity by entity what an edit of the mapping changed: of each a digest of its key
// and of its desired state under a random key, its outcome and cause, and its key as
// redact.ShownKey shows it. Of more than maxShown entities only an even part has its key
// there, so that ten million take about 100 MB; the file is made for its owner only.
//
// A record is
//
//	id 8, digest 4, standing uvarint, length uvarint, organization NUL key
//
// in the order of the ids, behind a line of JSON, all compressed. In memory and in
// temporary files they are spread over buckets by their ids; one bucket is sorted at a
// time (decision 0027).
const (
	statesFormat = 1
	bucketBits   = 6
	buckets      = 1 << bucketBits
	maxShown     = 1_000_000
	statesSuffix = ".states.gz"
)

// StatesPath is where the states of the report at a path stand.
func StatesPath(report string) string {
	return strings.TrimSuffix(report, filepath.Ext(report)) + statesSuffix
}

// header is the first line of a file of states.
type header struct {
	Format int `json:"format"`
	// Run is when the rehearsal began: the report beside it says the same.
	Run       time.Time        `json:"run"`
	Key       []byte           `json:"key"` // of the digests; a later file takes it over
	Standings []kindStanding   `json:"standings"`
	Entities  map[string]int64 `json:"entities"` // by kind
	// Sums of digests over all entities, by kind and field: another sum is another value
	// somewhere, where the entities are the same.
	Sums map[string]uint64 `json:"sums"`
}

type kindStanding struct {
	Kind consumers.Kind `json:"kind"`
	Standing
}

// record is an entity in a file of states.
type record struct {
	id       uint64
	digest   uint32
	standing int
	shown    string // "": not kept
}

// States writes the states of one rehearsal. It is not safe for concurrent use.
type States struct {
	path   string
	head   header
	spill  [buckets]*os.File
	writer [buckets]*bufio.Writer
	count  int64
	known  map[kindStanding]int
}

// CreateStates begins a file of states at a path. former is the path of the states that
// it will be compared with, "" for none; where those cannot be read, it is as without.
func CreateStates(path, former string) (*States, error) {
	s := &States{path: path, head: header{Format: statesFormat, Entities: map[string]int64{}, Sums: map[string]uint64{}}, known: map[kindStanding]int{}}
	if former != "" {
		if f, err := openStates(former); err == nil {
			s.head.Key = f.head.Key
			f.close()
		}
	}
	if s.head.Key == nil {
		s.head.Key = make([]byte, sha256.Size)
		rand.Read(s.head.Key) // never fails
	}
	for i := range s.spill {
		f, err := os.CreateTemp("", "backstitch-states-")
		if err != nil {
			s.Discard()
			return nil, fmt.Errorf("states of the rehearsal: %w", err)
		}
		_ = os.Remove(f.Name()) // nothing is left behind, whatever ends this process
		s.spill[i], s.writer[i] = f, bufio.NewWriterSize(f, 32<<10)
	}
	return s, nil
}

// Discard gives the temporary files back. It is harmless after Close.
func (s *States) Discard() {
	for i, f := range s.spill {
		if f != nil {
			_ = f.Close() // it was removed when it was made
		}
		s.spill[i] = nil
	}
}

func (s *States) add(e *Entity, fields map[string]json.RawMessage) error {
	id := s.mac(string(e.Key.Kind), e.Key.Organization, e.Key.Entity)
	state := sha256.New()
	for _, name := range slices.Sorted(mapKeys(fields)) {
		fmt.Fprintf(state, "%q", name)
		state.Write(fields[name])
		s.head.Sums[string(e.Key.Kind)+"."+name] += s.mac(fmt.Sprint(id), name, string(fields[name]))
	}
	s.head.Entities[string(e.Key.Kind)]++
	s.count++
	shown := redact.ShownKey(e.Key.Entity)
	if e.Key.Kind == consumers.Member {
		shown = redact.ShownKey(e.Key.Organization) + "\x00" + shown
	}
	r := record{id, uint32(s.mac("state", string(state.Sum(nil)))), s.standing(e), shown} //nolint:gosec // its lower half is as good as the whole
	if _, err := s.writer[id>>(64-bucketBits)].Write(r.append(nil)); err != nil {
		return fmt.Errorf("states of the rehearsal: %w", err)
	}
	return nil
}

// standing numbers an outcome with its cause: of an entity with losses, the first.
func (s *States) standing(e *Entity) int {
	k := kindStanding{e.Key.Kind, e.Standing}
	if k.Class == "" && len(e.Losses) > 0 {
		k.Class = Class(slices.Min(e.Losses))
	}
	n, ok := s.known[k]
	if !ok {
		n = len(s.head.Standings)
		s.known[k], s.head.Standings = n, append(s.head.Standings, k)
	}
	return n
}

func (s *States) mac(parts ...string) uint64 {
	h := hmac.New(sha256.New, s.head.Key)
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s|", len(p), p)
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}

func (r *record) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, r.id)
	b = binary.BigEndian.AppendUint32(b, r.digest)
	b = binary.AppendUvarint(b, uint64(r.standing)) //nolint:gosec // an index
	b = binary.AppendUvarint(b, uint64(len(r.shown)))
	return append(b, r.shown...)
}

// Close writes the file, at once and whole: it appears under its name when it is done.
func (s *States) Close() error {
	defer s.Discard()
	f, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+"-") // of mode 0600
	if err != nil {
		return fmt.Errorf("states of the rehearsal: %w", err)
	}
	err = s.write(f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), s.path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the error that matters is the first one
		return fmt.Errorf("states of the rehearsal: %w", err)
	}
	return nil
}

func (s *States) write(f io.Writer) error {
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return err
	}
	head, err := json.Marshal(s.head)
	if err != nil {
		return err
	}
	if _, err := z.Write(append(head, '\n')); err != nil {
		return err
	}
	for i := range s.spill {
		records, err := s.bucket(i)
		if err != nil {
			return err
		}
		var b []byte
		for _, r := range records {
			// An even part, the same of every rehearsal of so many: ids are digests.
			if s.count > maxShown && r.id%uint64(s.count) >= maxShown { //nolint:gosec // a count
				r.shown = ""
			}
			b = r.append(b)
			if len(b) > 1<<16 {
				if _, err := z.Write(b); err != nil {
					return err
				}
				b = b[:0]
			}
		}
		if _, err := z.Write(b); err != nil {
			return err
		}
	}
	return z.Close()
}

// bucket reads one bucket back and sorts it.
func (s *States) bucket(i int) ([]record, error) {
	if err := s.writer[i].Flush(); err != nil {
		return nil, err
	}
	if _, err := s.spill[i].Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(s.spill[i])
	if err != nil {
		return nil, err
	}
	var records []record
	for in := bufio.NewReader(bytes.NewReader(raw)); ; {
		r, err := readRecord(in)
		if errors.Is(err, io.EOF) { // io.ErrUnexpectedEOF is another
			break
		}
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b record) int { return cmp.Compare(a.id, b.id) })
	return records, nil
}
