// Posts one sale by itself and one in a batch, by the generated client.
import { Configuration, DefaultApi, Event, LineTypeEnum } from './index';

const api = new DefaultApi(new Configuration({ basePath: process.env.TILLRACE_URL, accessToken: process.env.TILLRACE_KEY }));

function sale(sequence: number): Event {
    const now = new Date();
    return {
        store: 'typescript', terminal: '1', sequence, eventId: `typescript-${sequence}`, kind: 'sale',
        occurredAt: now, businessDate: now, currency: 'EUR',
        lines: [{ line: 1, type: LineTypeEnum.Sale, sku: '100001', quantity: '2', amount: '2.58' }],
    };
}

async function main(): Promise<void> {
    const acknowledged = await api.postEvent({ event: sale(1) });
    if (acknowledged.outcome !== 'accepted') throw new Error(`unexpected answer: ${JSON.stringify(acknowledged)}`);
    const tally = await api.postEvents({ event: [sale(2)] });
    if (tally.accepted !== 1 || tally.rejected !== 0) throw new Error(`unexpected answer: ${JSON.stringify(tally)}`);
}

main().catch((error) => { console.error(error); process.exit(1); });
