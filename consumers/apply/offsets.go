package apply

import "sync"

// offsets follows one assigned topic partition: wake-ups end in any order, the
// committed offset moves over a contiguous prefix only (invariant 10).
type offsets struct {
	topic     string
	partition int32
	mark      func(topic string, partition int32, next int64, epoch int32)

	mu struct {
		sync.Mutex
		open []openOffset
		ends map[int64]bool
	}
}

type openOffset struct {
	offset int64
	epoch  int32
}

func newOffsets(topic string, partition int32, mark func(string, int32, int64, int32)) *offsets {
	o := &offsets{topic: topic, partition: partition, mark: mark}
	o.mu.ends = map[int64]bool{}
	return o
}

// begin notes a delivered wake-up; they come in offset order.
func (o *offsets) begin(offset int64, epoch int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.open = append(o.mu.open, openOffset{offset, epoch})
}

// end notes that a wake-up's turn has a durable outcome.
func (o *offsets) end(offset int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.ends[offset] = true
	moved := openOffset{offset: -1}
	for len(o.mu.open) > 0 && o.mu.ends[o.mu.open[0].offset] {
		moved = o.mu.open[0]
		delete(o.mu.ends, moved.offset)
		o.mu.open = o.mu.open[1:]
	}
	if moved.offset >= 0 {
		o.mark(o.topic, o.partition, moved.offset+1, moved.epoch)
	}
}

// ack is a wake-up to be acknowledged.
type ack struct {
	offsets *offsets
	offset  int64
}

func (a ack) done() {
	if a.offsets != nil {
		a.offsets.end(a.offset)
	}
}
