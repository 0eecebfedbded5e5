package report

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"

	"github.com/backstitch/backstitch/consumers"
)

func mapKeys[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }

// statesFile is a file of states that is read from its beginning to its end.
type statesFile struct {
	file *os.File
	in   *bufio.Reader
	head header
	next record
	more bool
}

// maxHeader bounds the first line: standings are few, fields are Stytch's.
const maxHeader = 1 << 20

func openStates(path string) (*statesFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &statesFile{file: f}
	if err := s.begin(); err != nil {
		s.close()
		return nil, fmt.Errorf("%s is no file of states: %w", path, err)
	}
	return s, nil
}

func (s *statesFile) begin() error {
	z, err := gzip.NewReader(s.file)
	if err != nil {
		return err
	}
	s.in = bufio.NewReaderSize(z, maxHeader)
	line, err := s.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, &s.head); err != nil {
		return err
	}
	if s.head.Format != statesFormat {
		return fmt.Errorf("it has format %d, and this version of Backstitch reads %d", s.head.Format, statesFormat)
	}
	return s.advance()
}

func (s *statesFile) close() { _ = s.file.Close() } // it was only read

// advance moves to the next record; more is false behind the last one.
func (s *statesFile) advance() error {
	r, err := readRecord(s.in)
	if errors.Is(err, io.EOF) {
		s.more = false
		return nil
	}
	if err == nil && r.standing >= len(s.head.Standings) {
		err = errors.New("a record has an outcome that the header does not name")
	}
	s.next, s.more = r, err == nil
	return err
}

func (s *statesFile) kind(r record) consumers.Kind { return s.head.Standings[r.standing].Kind }
func (s *statesFile) of(r record) Standing         { return s.head.Standings[r.standing].Standing }

// readRecord returns io.EOF only where no record begins.
func readRecord(in *bufio.Reader) (r record, err error) {
	var fixed [12]byte
	if _, err := io.ReadFull(in, fixed[:]); err != nil {
		return r, err
	}
	r.id, r.digest = binary.BigEndian.Uint64(fixed[:8]), binary.BigEndian.Uint32(fixed[8:])
	standing, err := binary.ReadUvarint(in)
	if err != nil {
		return r, broken(err)
	}
	length, err := binary.ReadUvarint(in)
	if err != nil || length > 1<<10 {
		return r, broken(err)
	}
	shown := make([]byte, length)
	if _, err := io.ReadFull(in, shown); err != nil {
		return r, broken(err)
	}
	r.standing, r.shown = int(standing), string(shown) //nolint:gosec // an index, compared with the header's
	return r, nil
}

func broken(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
