/* output_tiles.h -- the outputs of a loss in tiles, whose numbers stay in registers. */
#ifndef FO_OUTPUT_TILES_H
#define FO_OUTPUT_TILES_H

enum { TILE_OUTPUTS = 8 };

/* Calls tile(it, from, to, constant, width) for all of it->n_outputs, the pointers moving on: TILE_OUTPUTS of them at a
 * time, and what is left in smaller tiles. The widths are constants. */
#define FO_IN_TILES(tile, it, from, to, constant)                                                                      \
    do {                                                                                                               \
        ptrdiff_t k = 0;                                                                                               \
        for (; k + TILE_OUTPUTS <= (it)->n_outputs; k += TILE_OUTPUTS)                                                 \
            tile(it, (from) + k, (to) + k, constant, TILE_OUTPUTS);                                                    \
        if ((it)->n_outputs - k >= 4) {                                                                                \
            tile(it, (from) + k, (to) + k, constant, 4);                                                               \
            k += 4;                                                                                                    \
        }                                                                                                              \
        if ((it)->n_outputs - k >= 2) {                                                                                \
            tile(it, (from) + k, (to) + k, constant, 2);                                                               \
            k += 2;                                                                                                    \
        }                                                                                                              \
        if ((it)->n_outputs > k)                                                                                       \
            tile(it, (from) + k, (to) + k, constant, 1);                                                               \
    } while (0)

#endif
