package witness

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/backstitch/backstitch/integration/testenv"
)

// Record is one record of a topic.
type Record struct {
	Partition  int
	Offset     int64
	Key, Value []byte // Value nil: a tombstone
	Headers    map[string]string
}

// Committed reads everything that a read_committed reader sees in a topic now, in
// the order of each partition.
func Committed(tb testing.TB, brokers []string, topic string) []Record {
	tb.Helper()
	if _, err := exec.LookPath("kcat"); err != nil {
		testenv.Missing(tb, "kcat (apt-get install kcat)")
	}
	// kcat ends at the end of every partition, after the last stable offset's markers.
	cmd := exec.CommandContext(context.Background(), "kcat", "-C", "-q", "-e", "-b", strings.Join(brokers, ","), "-t", topic,
		"-o", "beginning", "-X", "isolation.level=read_committed", "-X", "check.crcs=true", "-f", `%p %o %K %S %h\n%k%s`)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("kcat reads %s: %v: %s", topic, err, stderr.String())
	}
	records, err := parse(bufio.NewReader(bytes.NewReader(out)))
	if err != nil {
		tb.Fatalf("kcat printed what cannot be read back of %s: %v", topic, err)
	}
	return records
}

func parse(in *bufio.Reader) ([]Record, error) {
	var records []Record
	for {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			return records, nil
		}
		if err != nil {
			return nil, err
		}
		var r Record
		var key, value int
		headers := ""
		if fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 5); len(fields) == 5 {
			headers = fields[4]
		}
		if _, err := fmt.Sscan(line, &r.Partition, &r.Offset, &key, &value); err != nil {
			return nil, fmt.Errorf("the line before a record: %w", err)
		}
		r.Headers = map[string]string{}
		for _, h := range strings.Split(headers, ",") {
			if name, v, ok := strings.Cut(h, "="); ok {
				r.Headers[name] = v
			}
		}
		if r.Key, err = take(in, key); err != nil {
			return nil, err
		}
		if r.Value, err = take(in, value); err != nil {
			return nil, err
		}
		records = append(records, r)
	}
}

// take reads n bytes; below zero: a null.
func take(in io.Reader, n int) ([]byte, error) {
	if n < 0 {
		return nil, nil
	}
	b := make([]byte, n)
	_, err := io.ReadFull(in, b)
	return b, err
}
