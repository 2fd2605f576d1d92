// What the simulated network is calibrated on: figures measured on 183 real frames of 2026, as far
// as so few can tell.
#pragma once

#include <array>
#include <cstdint>

#include "tools/sim/random.h"

namespace standpipe::tools::sim {

// Microseconds since the same repository's previous commit: p0 0.35 s, p10 2.0 s, p25 5.0 s,
// p50 17.8 s, p69 60 s, p75 118 s, p82 5 min, p88 1 h, p94 6 h, p96 1 day, p99 3.5 d, p100 30 d.
inline constexpr std::array<Quantile, 19> kGapMicros = {{{0, 1'206'976},
                                                         {28, 1'306'235},
                                                         {50, 1'338'048},
                                                         {100, 1'371'771},
                                                         {250, 1'458'405},
                                                         {370, 1'523'941},
                                                         {500, 1'578'459},
                                                         {580, 1'627'813},
                                                         {690, 1'693'349},
                                                         {750, 1'757'296},
                                                         {820, 1'845'519},
                                                         {830, 1'911'055},
                                                         {880, 2'080'463},
                                                         {900, 2'104'049},
                                                         {940, 2'249'871},
                                                         {950, 2'304'566},
                                                         {960, 2'380'943},
                                                         {990, 2'499'390},
                                                         {1000, 2'702'521}}};

// Records in a repository, weighted by its commits: log-normal, p10 2,600, median 40,000,
// p90 390,000. The figure is itself an estimate from the layer of the root.
inline constexpr std::array<Quantile, 11> kRepoRecords = {{{0, 421'512},
                                                           {10, 532'785},
                                                           {50, 670'209},
                                                           {100, 743'470},
                                                           {250, 865'884},
                                                           {500, 1'001'896},
                                                           {750, 1'115'212},
                                                           {900, 1'217'200},
                                                           {950, 1'278'235},
                                                           {990, 1'392'728},
                                                           {1000, 1'485'434}}};

}  // namespace standpipe::tools::sim
