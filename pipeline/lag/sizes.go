package lag

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
)

// sizes estimates the bytes of all partitions: the share of a partition's size on its
// leader's disk that its lagging offsets are of all that lie there. Segments are as
// the producer compressed them; indexes are not among them. Brokers may refuse to
// tell (DESCRIBE on the cluster): the bytes of what lags are absent then.
func (r *Reader) sizes(ctx context.Context, groups []group) {
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	set := kadm.TopicsSet{}
	for _, g := range groups {
		for _, p := range g.parts {
			if p.records() == 0 {
				p.bytes = new(int64)
				continue
			}
			set.Add(p.topic, p.partition)
		}
	}
	if len(set) == 0 {
		return
	}
	all, _ := r.admin.DescribeAllLogDirs(ctx, set) // what some brokers told comes back beside an error
	for _, g := range groups {
		for _, p := range g.parts {
			if p.records() == 0 {
				continue
			}
			for _, dir := range all[p.leader] {
				if d, ok := dir.Topics[p.topic][p.partition]; ok && !d.IsFuture {
					estimate := share(d.Size, p.records(), p.end-p.start)
					p.bytes = &estimate
				}
			}
		}
	}
}

// share is the bytes of records out of all offsets that take size bytes.
func share(size, records, all int64) int64 {
	if all <= 0 {
		return 0
	}
	return int64(float64(size) * float64(min(records, all)) / float64(all))
}
