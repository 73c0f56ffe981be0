// The activation after a sum: none, Hardtanh, or PReLU with a learned shift (RPReLU).

#pragma once

#include "common.h"

namespace ir2 {

struct None {
    static constexpr bool IS_LEARNED = false;
    float value(float x) const { return x; }
    float gradient(float, float gradient) const { return gradient; }
};

struct Hardtanh {
    static constexpr bool IS_LEARNED = false;
    float value(float x) const {  // NaN stays NaN
        return x < -1.f ? -1.f : (x > 1.f ? 1.f : x);
    }
    float gradient(float x, float gradient) const {
        return std::fabs(x) < 1.f ? gradient : 0.f;
    }
};

// x - gamma + zeta if x > gamma, otherwise beta (x - gamma) + zeta
struct ShiftedPReLU {
    static constexpr bool IS_LEARNED = true;
    float gamma, beta, zeta;
    float slope(float x) const { return x - gamma > 0.f ? 1.f : beta; }
    float value(float x) const { return slope(x) * (x - gamma) + zeta; }
    float gradient(float x, float gradient) const { return slope(x) * gradient; }
    float of_beta(float x, float gradient) const {
        return x - gamma > 0.f ? 0.f : (x - gamma) * gradient;
    }
};

// An activation of feature maps, with parameters for each channel
struct Activation {
    enum Kind { NONE = 0, HARDTANH = 1, PRELU = 2 };
    int kind;
    const float *gamma, *beta, *zeta;  // of PReLU; without gamma and zeta these are 0

    ShiftedPReLU prelu(int64_t channel) const {
        return {gamma ? gamma[channel] : 0.f, beta[channel], zeta ? zeta[channel] : 0.f};
    }

    // Call work(the activation of a channel)
    template <typename Work> void of_channel(int64_t channel, Work work) const {
        if (kind == NONE)
            work(None());
        else if (kind == HARDTANH)
            work(Hardtanh());
        else
            work(prelu(channel));
    }
};

}  // namespace ir2
