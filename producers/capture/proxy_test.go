package capture_test

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/producers/capture"
)

// behind lays the ways of a source through cables.
func behind(postgres, kafka *testenv.Cable) func(*capture.Config, *capture.Deps) {
	return func(_ *capture.Config, d *capture.Deps) {
		source := d.Source.Copy()
		source.DialFunc = postgres.Dial
		d.Source = source
		d.Kafka = append(append([]kgo.Opt{}, d.Kafka...), kgo.Dialer(kafka.Dial))
	}
}
