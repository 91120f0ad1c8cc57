package tillrace;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.Locale;

/** What a job cost from now on, when the compiler is warm, to its end. CPU time is the whole process's. */
final class Measurement {
    private final long linesBefore;
    private final long cpuBefore = cpuNanos();
    private final long begun = System.nanoTime();

    Measurement(long linesBefore) {
        this.linesBefore = linesBefore;
    }

    /**
     * Ends the measurement as one JSON object. Where lines are shuffled the second half is behind the first: by its lines,
     * less work is left than by the events read.
     */
    String end(long events, long lines) {
        double seconds = (System.nanoTime() - begun) / 1e9;
        double cpu = (cpuNanos() - cpuBefore) / 1e9;
        double measured = events * (double) (lines - linesBefore) / lines;
        return String.format(Locale.ROOT, "{\"events\": %.0f, \"lines\": %d, \"seconds\": %.3f, \"cpu_s\": %.3f}",
                measured, lines, seconds, cpu);
    }

    private static long cpuNanos() {
        return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }
}
