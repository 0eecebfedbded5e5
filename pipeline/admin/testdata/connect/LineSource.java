import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.source.SourceConnector;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.source.SourceTask;

/** Writes five records, and lets its offsets be altered. */
public class LineSource extends SourceConnector {
    private Map<String, String> config;

    @Override public void start(Map<String, String> config) { this.config = config; }
    @Override public void stop() { }
    @Override public String version() { return "1.0"; }
    @Override public Class<? extends Task> taskClass() { return Lines.class; }
    @Override public List<Map<String, String>> taskConfigs(int most) { return List.of(config); }
    @Override public boolean alterOffsets(Map<String, String> config, Map<Map<String, ?>, Map<String, ?>> offsets) { return true; }

    @Override public ConfigDef config() {
        return new ConfigDef().define("topic", ConfigDef.Type.STRING, "rest-lines", ConfigDef.Importance.HIGH, "where to");
    }

    public static class Lines extends SourceTask {
        private int written;

        @Override public String version() { return "1.0"; }
        @Override public void start(Map<String, String> config) { }
        @Override public void stop() { }

        @Override public List<SourceRecord> poll() throws InterruptedException {
            Thread.sleep(100);
            if (written == 5) {
                return null;
            }
            written++;
            return List.of(new SourceRecord(Map.of("slot", "s"), Map.of("lsn", written), "rest-lines", Schema.STRING_SCHEMA, "line " + written));
        }
    }
}
